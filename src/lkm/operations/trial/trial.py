"""Try a module: load it in a kernel, report everything that happens, unload it, report leftovers.

Nothing is printed: each thing is an event (:mod:`lkm.operations.trial.events`) given to ``emit`` as
it happens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lkm.build import kbuild
from lkm.doctor import load_way
from lkm.errors import NotFoundError, UsageError
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.kernels.choose import Choice, Wish, choose, headers_of
from lkm.kernels.fetch import indexed_kernel
from lkm.module.image import ModuleImage
from lkm.module.names import MODULE_SUFFIXES, normalize
from lkm.operations.trial import events
from lkm.operations.trial.request import TrialRequest, Watching
from lkm.operations.trial.run import Run
from lkm.operations.trial.subject import Wanted, find_modules
from lkm.operations.trial.unchecked import left_out

Emit = Callable[[events.Event], None]


def run(request: TrialRequest, emit: Emit) -> events.Finished:
    """Try a module and return the last event.

    Raises NotFoundError when there is no such module or kernel, ToolError when it does not
    compile; what the kernel refuses is an event and a problem of the result, not an error.
    """
    return _Trial(request, emit).run()


class _Trial:
    """One request on its way; ``told`` are the events so far."""

    def __init__(self, request: TrialRequest, emit: Emit) -> None:
        self.request = request
        self.told: list[events.Event] = []
        self._unchecked: list[str] = []
        self._emit_to = emit

    def emit(self, event: events.Event) -> None:
        self.told.append(event)
        self._emit_to(event)

    def progress(self, what: str, done: int, total: int) -> None:
        self._emit_to(events.Progress(what, done, total))

    def run(self) -> events.Finished:
        started = time.monotonic()
        choice = self._choose()
        file = self._module_file(choice)
        with self._open(choice) as kernel:
            wanted = find_modules(file or self.request.what, bool(file), choice.known, kernel)
            problems = self._try(kernel, wanted, choice)
        self.emit(events.NotChecked(tuple(self._unchecked + left_out(choice.kind, self.told))))
        finished = events.Finished(tuple(problems), time.monotonic() - started)
        self.emit(finished)
        return finished

    def _choose(self) -> Choice:
        request = self.request
        asked = replace(request.watching, fast=False)
        choice = choose(request.kernel, _wish(request), self.progress)
        if choice.kind != "emulated" and (request.fail_each or asked != Watching()):
            raise UsageError(
                f"{choice.where} cannot watch the module or fail its allocations",
                hint="--fail-alloc, --guard and --trace take --kernel emulated",
            )
        self.emit(events.KernelChosen(choice.where, choice.reason, choice.image))
        return choice

    def _module_file(self, choice: Choice) -> str:
        """Return the module's file, built first if need be; empty for a name."""
        what = self.request.what
        if not _is_source(what):
            return what if _is_file(what) else ""
        release = choice.known.release if choice.known else os.uname().release
        self.progress(f"building {what}", 0, 0)
        built = kbuild.build(what, headers_of(release))
        module = _select(built.modules, self.request.select)
        self.emit(events.Built(what, os.fspath(module), built.output, built.seconds))
        return os.fspath(module)

    def _open(self, choice: Choice) -> Kernel:
        booted: list[str] = []

        def progress(what: str, done: int, total: int) -> None:
            booted.append(what)
            self.progress(what, done, total)

        if choice.known:
            indexed_kernel(choice.known, self.progress)  # not to be taken for booting
        started = time.monotonic()
        kernel = open_kernel(choice.where, progress=progress)
        how = "booted" if booted else "restored from its snapshot"
        if choice.kind == "live":
            how = "the running one"
        self.emit(events.KernelReady(kernel.release, how, time.monotonic() - started))
        return kernel

    def _try(self, kernel: Kernel, wanted: Wanted, choice: Choice) -> list[str]:
        if choice.kind == "emulated":
            return self._try_watched(kernel, wanted, choice)
        running = Run(kernel, wanted, self.emit, choice.image)
        running.carry_out(self.request.procedure)
        self._unchecked += running.tell.unchecked
        return running.problems

    def _try_watched(self, kernel: Kernel, wanted: Wanted, choice: Choice) -> list[str]:
        # Both need Unicorn, an extra, which the other kernels do without.
        from lkm.operations.trial import failures
        from lkm.operations.trial.instruments import Instruments, machine_of

        procedure, machine = self.request.procedure, machine_of(kernel)
        instruments = Instruments(machine, wanted.image, self.request.watching, self.emit)
        running = Run(kernel, wanted, self.emit, choice.image, instruments)
        way = None
        if self.request.watching.stages:
            tell = running.tell
            way = machine.watch_way(load_way.POINTS, tell.stage, tell.logging)
        running.carry_out(procedure)
        self._unchecked += running.tell.unchecked + instruments.unchecked()
        if way is not None:
            way.end()
        made = len(instruments.allocations)
        if self.request.fail_each:
            fast = not self.request.watching.checks
            return running.problems + failures.fail_each(
                machine, wanted, procedure, made, self._emit_to, fast=fast
            )
        if not self.request.watching.fail:
            return running.problems
        failed = instruments.failed()
        if failed is None:
            return [*running.problems, f"it makes {made} allocations: none has failed"]
        tried = failures.verdict(failed, self.told)
        self.emit(tried)
        return failures.problem(tried)


def _wish(request: TrialRequest) -> Wish:
    if _is_source(request.what):
        return Wish(from_source=True, fetch=request.fetch)
    if not _is_file(request.what):
        return Wish(fetch=request.fetch)
    if not os.path.exists(request.what):
        raise NotFoundError(f"{request.what}: no such file")
    vermagic = ModuleImage.open(request.what).vermagic
    return Wish(built_for=vermagic.release if vermagic else "", fetch=request.fetch)


def _is_source(what: str) -> bool:
    if os.path.isdir(what):
        # A folder of the same name as a module in the tree is meant only when spelled as a path.
        return _is_file(what) or what in (".", "..") or kbuild.has_makefile(what)
    return what.endswith(".c")


def _is_file(what: str) -> bool:
    """Whether it is spelled as a path rather than as a module's name."""
    return "/" in what or what.endswith(MODULE_SUFFIXES)


def _select(modules: tuple[Path, ...], name: str) -> Path:
    names = [path.stem for path in modules]
    if name:
        for path in modules:
            if normalize(path.stem) == normalize(name):
                return path
        raise NotFoundError(f"no module {name!r} was built", hint=f"built: {', '.join(names)}")
    if len(modules) > 1:
        raise UsageError(
            f"it builds {len(modules)} modules: {', '.join(names)}",
            hint=f"choose one: --module {names[-1]}",
        )
    return modules[0]
