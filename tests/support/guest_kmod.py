"""The real kmod and our commands side by side: each in a guest of its own, on the same tree."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.kernel.vm import guest
from lkm.kernel.vm.machine import VirtualMachine, virtual_machine
from tests.support.kernels import KernelFiles
from tests.support.modules import built
from tests.support.trees import INPUTS, kmod_depmod

TOOLS = ("insmod", "rmmod", "modprobe", "lsmod")
OWN = (
    *("hello", "params", "exporter", "importer", "busy", "no_exit", "init_fails", "oops"),
    *("proprietary", "unknown_symbol", "warn"),
)
DEBIAN = (
    *("loop", "dummy", "fat", "vfat", "nls_ascii", "ext4", "jbd2", "mbcache", "crc16"),
    *("crc32c_generic", "8021q", "garp", "mrp", "stp", "llc"),
)

# Much is imported when it is used: all of these packages that needs no other package.
_IMPORTS = [f"lkm.{name}.*" for name in ("cli", "kernel", "module", "operations", "tree")]
_IMPORTS += [f"lkm.cli.commands.kmod_tools.{tool}" for tool in TOOLS]

_RUN_OURS = """
import contextlib, io, json, os, sys
sys.path.insert(0, {package!r})
from lkm.cli import refusal
from lkm.cli.main import run
refusal.because = lambda *_: None  # the doctor's libraries are not in the guest
results = []
for words in json.loads(sys.argv[1]):
    out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    saved = os.dup(1)
    child = os.memfd_create("children")
    os.dup2(child, 1)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(words)
        out.flush(), err.flush()
    os.dup2(saved, 1)
    out.buffer.write(os.pread(child, 1 << 20, 0))
    with open("/proc/modules") as file:
        modules = file.read()
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]
    results.append([status, *texts, modules])
sys.stdout.write("\\n" + json.dumps(results))
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command did: status, output, errors, and the names and counts of /proc/modules."""

    status: int
    stdout: str
    stderr: str
    modules: tuple[tuple[str, ...], ...]

    def comparable(self) -> tuple[object, ...]:
        """All that must be the same; kmod's and our words on stderr may differ.

        The order of lines is left out, for kmod's own come after those of the commands it runs
        when its output is no terminal, and ours before them.
        """
        return self.status, sorted(self.stdout.splitlines()), self.modules


def make_tree(kernel: KernelFiles, folder: Path) -> Path:
    """Make a root with a small module tree, indexed by the real depmod."""
    target = folder / "lib/modules" / kernel.release
    (target / "extra").mkdir(parents=True)
    for name in INPUTS:
        shutil.copyfile(kernel.modules / name, target / name)
    for name in DEBIAN:
        (path,) = kernel.modules.rglob(f"{name}.ko")
        place = target / path.relative_to(kernel.modules)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    for name in OWN:
        shutil.copyfile(built(name, kernel), target / "extra" / f"{name}.ko")
    assert kmod_depmod(folder, kernel.release).returncode == 0
    (target / "extra/truncated.ko").write_bytes(built("hello", kernel).read_bytes()[:3000])
    (target / "extra/empty.ko").write_bytes(b"")
    return folder


def _prepare(machine: VirtualMachine, tree: Path, config: str) -> None:
    machine.push(tree, "/")
    machine.push_program(shutil.which("busybox") or "", "/bin/sh")
    kmod = os.path.realpath(shutil.which("kmod") or "")
    for tool in TOOLS:
        machine.push_program(kmod, f"/sbin/{tool}")
    machine.put("/etc/modprobe.d/test.conf", config.encode())


def _modules(text: str) -> tuple[tuple[str, ...], ...]:
    """Addresses differ where modules were loaded in between, by install commands for example."""
    return tuple(tuple(line.split()[:5] + line.split()[6:]) for line in text.splitlines())


def run_kmod(kernel: KernelFiles, tree: Path, config: str, commands: list[str]) -> list[Ran]:
    """Run the commands with the real kmod in a fresh guest."""
    with open_kernel(f"vm:{kernel.release}") as opened:
        machine = virtual_machine(opened.syscalls)
        _prepare(machine, tree, config)
        return [_run_real(machine, opened, command) for command in commands]


def _run_real(machine: VirtualMachine, opened: Kernel, command: str) -> Ran:
    tool, *words = _words(command, opened.release)
    done = machine.run(f"/sbin/{tool}", *words)
    modules = _modules(opened.read_text("/proc/modules"))
    return Ran(done.status, done.stdout.decode(), done.stderr.decode(), modules)


def run_ours(kernel: KernelFiles, tree: Path, config: str, commands: list[str]) -> list[Ran]:
    """Run the commands with ours, on the live kernel of a fresh guest."""
    with open_kernel(f"vm:{kernel.release}") as opened:
        machine = virtual_machine(opened.syscalls)
        _prepare(machine, tree, config)
        machine.push_imports(_IMPORTS)
        words = [_words(command, opened.release) for command in commands]
        code = _RUN_OURS.format(package=guest.GUEST_PACKAGE)
        done = machine.run(guest.interpreter(), "-ISc", code, json.dumps(words))
        assert done.status == 0, done.stderr.decode()
        results = json.loads(done.stdout.rpartition(b"\n")[2])
    return [Ran(status, out, err, _modules(text)) for status, out, err, text in results]


def _words(command: str, release: str) -> list[str]:
    return shlex.split(command.replace("@", f"/lib/modules/{release}/extra/"))
