"""Loading a kernel's modules one by one, with what they depend on, in either machine.

What the kernel itself asks for meanwhile is answered from the same tree. Each module is loaded on
a machine that has seen nothing but its dependencies.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from lkm.errors import KernelDiedError, LkmError
from lkm.kernel.emulated import open_machine
from lkm.kernel.emulated.hardware.processor import Limits
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.kernel.providers import from_tree
from lkm.kernel.syscalls import SyscallOutcome, Syscalls
from lkm.kernel.vm.machine import VirtualMachine, virtual_machine
from lkm.module import compression
from lkm.tree.resolver import Resolver
from lkm.tree.root import Root
from tests.support.kernels import KernelFiles

LIMITS = Limits(seconds=60, idle=120, spin=6000)
LOADED = "loaded"
_COMPLAINTS = 4  # log levels below are errors


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one module: ``loaded``, an errno's name, ``killed by signal N``, or a limit.

    ``dependency`` names the dependency that already did not load; ``evidence`` is the last error
    the kernel logged. ``module`` is the path below the module directory.
    """

    module: str
    outcome: str
    dependency: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A module and the files to load before it, in order."""

    path: str
    needs: tuple[str, ...]


def candidates(kernel: KernelFiles, root: Path) -> list[Candidate]:
    """Return all modules of ``kernel``, those with the same dependencies next to each other.

    ``root`` has the indexes (see ``trees.linked_tree``).
    """
    resolver = Resolver(Root(str(root), kernel.release))
    found = []
    for path in sorted((root / "lib/modules" / kernel.release / "kernel").rglob("*.ko*")):
        name = path.name.partition(".")[0].replace("-", "_")
        needed = resolver.dependencies(resolver.of_module(name))
        needs = tuple(map(resolver.path_of, needed))
        found.append(Candidate(str(path), needs))
    return sorted(found, key=lambda candidate: (candidate.needs, candidate.path))


class EmulatedSweep:
    """Loads candidates in the emulated machine.

    Taken in the order of their dependencies, those with the same ones share the loading of them:
    each is loaded in a child process forked from the machine that has them.
    """

    def __init__(self, kernel: KernelFiles, root: Path) -> None:
        self._prefix = str(root / "lib/modules" / kernel.release) + "/"
        self._machine = open_machine(kernel.vmlinuz, root=root)
        self._machine.limits = LIMITS
        self._loaded: tuple[str, ...] = ()
        self._failed: Result | None = None

    def run(self, chosen: Iterable[Candidate]) -> Iterator[Result]:
        """Yield the result of each candidate."""
        for candidate in chosen:
            yield self._one(candidate)

    def __enter__(self) -> EmulatedSweep:
        return self

    def __exit__(self, *_: object) -> None:
        self._machine.shut_down()

    def _one(self, candidate: Candidate) -> Result:
        module = candidate.path.removeprefix(self._prefix)
        self._prepare(candidate.needs)
        if self._failed is not None:
            return Result(module, self._failed.outcome, self._failed.module, self._failed.evidence)
        return self._in_child(candidate.path, module)

    def _prepare(self, needs: tuple[str, ...]) -> None:
        """Have these loaded, and nothing else."""
        if self._failed is not None or needs[: len(self._loaded)] != self._loaded:
            self._machine.rewind()
            self._loaded, self._failed = (), None
        for path in needs[len(self._loaded) :]:
            result = load(self._machine, path, path.removeprefix(self._prefix))
            if result.outcome != LOADED:
                self._failed = result
                return
        self._loaded = needs

    def _in_child(self, path: str, module: str) -> Result:
        reader, writer = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.close(reader)
            try:
                result = load(self._machine, path, module)
            except BaseException as error:
                result = Result(module, f"traceback: {error!r}")
            os.write(writer, json.dumps(asdict(result)).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            data = stream.read()
        _, status = os.waitpid(child, 0)
        if not data:
            return Result(module, f"crash: wait status {status}")
        return Result(**json.loads(data))


class VmSweep:
    """Loads candidates in virtual machines, each in one of its own."""

    def __init__(self, kernel: KernelFiles, root: Path) -> None:
        self._release = kernel.release
        self._provider = from_tree(root, kernel.release)
        self._prefix = str(root / "lib/modules" / kernel.release) + "/"

    def run(self, chosen: Iterable[Candidate]) -> Iterator[Result]:
        """Yield the result of each candidate."""
        for candidate in chosen:
            with open_kernel(f"vm:{self._release}") as kernel:
                yield self._one(virtual_machine(kernel.syscalls), candidate)

    def _one(self, machine: VirtualMachine, candidate: Candidate) -> Result:
        machine.answer_requests(self._provider)
        module = candidate.path.removeprefix(self._prefix)
        for path in candidate.needs:
            needed = load(machine, path, path.removeprefix(self._prefix))
            if needed.outcome != LOADED:
                return Result(module, needed.outcome, needed.module, needed.evidence)
        return load(machine, candidate.path, module)


def load(machine: Syscalls, path: str, module: str) -> Result:
    """Load one module and say what became of it."""
    kernel = Kernel(machine)
    try:
        with kernel.watch_log() as watch:
            outcome = machine.init_module(compression.decompress(Path(path).read_bytes()), "")
            records = watch.new_records()
    except KernelDiedError as error:
        return Result(module, f"limit: {error.reason}", evidence=_last(list(error.log)))
    except (LkmError, OSError) as error:
        return Result(module, f"error: {error}")
    complaints = [r.text for r in records if r.level < _COMPLAINTS]
    return Result(module, named(outcome), evidence=_last(complaints) if not outcome.ok else "")


def named(outcome: SyscallOutcome) -> str:
    """Return an outcome in a word."""
    if outcome.signal:
        return f"killed by signal {outcome.signal}"
    if outcome.errno == errno.EEXIST:
        return LOADED  # the kernel asked for it while a dependency was loaded
    if outcome.errno:
        return errno.errorcode.get(outcome.errno, f"errno {outcome.errno}")
    return LOADED


def _last(lines: list[str]) -> str:
    return lines[-1][:160] if lines else ""
