"""Try a module: load it in a kernel, report everything that happens, unload it, report leftovers.

Nothing is printed: each thing is an event (:mod:`lkm.operations.trial.events`) given to ``emit`` as
it happens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lkm import files
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
from lkm.operations.trial.verdict import judge

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
        self._procedure = request.procedure
        self._name = ""
        self._emit_to = emit

    def emit(self, event: events.Event) -> None:
        self.told.append(event)
        self._emit_to(event)

    def progress(self, what: str, done: int, total: int) -> None:
        self._emit_to(events.Progress(what, done, total))

    def run(self) -> events.Finished:
        started = time.monotonic()
        choice = self._choose()
        subjects = self._module_files(choice)
        problems = []
        for number, file in enumerate(subjects, 1):
            if len(subjects) > 1:
                self.emit(events.TurnBegun(Path(file).stem, number, len(subjects)))
            found = self._try_one(file, subjects, choice)
            whose = f"{Path(file).stem}: " if len(subjects) > 1 else ""
            problems += [f"{whose}{problem}" for problem in found]
        unchecked = self._unchecked + left_out(choice.kind, self.told)
        self.emit(events.NotChecked(tuple(dict.fromkeys(unchecked))))
        seconds = time.monotonic() - started
        finished = events.Finished(tuple(problems), seconds, judge(self.told, problems, self._name))
        self.emit(finished)
        return finished

    def _try_one(self, file: str, built: Sequence[str], choice: Choice) -> list[str]:
        """Try the module in ``file`` (empty: the one named) in a kernel of its own."""
        self._procedure = self.request.procedure
        with self._open(choice) as kernel:
            siblings = {normalize(Path(other).stem): other for other in built if other}
            what = file or self.request.what
            wanted = find_modules(what, bool(file), choice.known, kernel, siblings)
            self._name = wanted.image.name
            if len(built) > 1:
                self._procedure = replace(self._procedure, parameters=self._its_own(wanted))
            return self._try(kernel, wanted, choice)

    def _its_own(self, wanted: Wanted) -> tuple[str, ...]:
        """Of the parameters given for several modules, those that this one has."""
        names = {parameter.name for parameter in wanted.image.parameters}
        given = self.request.procedure.parameters
        return tuple(text for text in given if text.partition("=")[0] in names)

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

    def _module_files(self, choice: Choice) -> tuple[str, ...]:
        """Return the files of what is tried, built first if need be; an empty one for a name."""
        request = self.request
        if not is_source(request.what):
            return (request.what if _is_file(request.what) else "",)
        release = choice.known.name if choice.known else os.uname().release
        self.progress(f"building {request.what}", 0, 0)
        options = kbuild.BuildOptions(request.make, request.in_place)
        built = kbuild.build(request.what, headers_of(release), options)
        if request.compile_commands and built.compile_commands:
            files.write_atomic(request.compile_commands, built.compile_commands.read_bytes())
        modules = _select(built.modules, request.select)
        if len(modules) > 1 and request.procedure.actions != ():
            raise UsageError(
                f"it builds {len(modules)} modules: what is to be done with which is not clear",
                hint=f"choose one: --module {modules[-1].stem}",
            )
        warnings = built.output
        for module in modules:
            path = os.fspath(module)
            self.emit(events.Built(request.what, path, warnings, built.seconds, built.way))
            warnings = ""
        return tuple(map(os.fspath, modules))

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
        running.carry_out(self._procedure)
        self._unchecked += running.tell.unchecked
        return running.problems

    def _try_watched(self, kernel: Kernel, wanted: Wanted, choice: Choice) -> list[str]:
        # Both need Unicorn, an extra, which the other kernels do without.
        from lkm.operations.trial import failures
        from lkm.operations.trial.instruments import Instruments, machine_of

        procedure, machine = self._procedure, machine_of(kernel)
        # To fail each allocation, they must be counted first.
        fast = self.request.watching.fast and not self.request.fail_each
        watching = replace(self.request.watching, fast=fast)
        instruments = Instruments(machine, wanted.image, watching, self.emit)
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
    if is_source(request.what):
        return Wish(from_source=True, fetch=request.fetch)
    if not _is_file(request.what):
        return Wish(fetch=request.fetch)
    if not os.path.exists(request.what):
        raise NotFoundError(f"{request.what}: no such file")
    vermagic = ModuleImage.open(request.what).vermagic
    return Wish(built_for=vermagic.release if vermagic else "", fetch=request.fetch)


def is_source(what: str) -> bool:
    """Return whether ``what`` is source to be built: a .c file, or a folder spelled as one."""
    if os.path.isdir(what):
        # A folder of the same name as a module in the tree is meant only when spelled as a path.
        return _is_file(what) or what in (".", "..") or kbuild.is_source(what)
    return what.endswith(".c")


def _is_file(what: str) -> bool:
    """Whether it is spelled as a path rather than as a module's name."""
    return "/" in what or what.endswith(MODULE_SUFFIXES)


def _select(modules: tuple[Path, ...], name: str) -> tuple[Path, ...]:
    if not name:
        return modules
    for path in modules:
        if normalize(path.stem) == normalize(name):
            return (path,)
    names = [path.stem for path in modules]
    raise NotFoundError(f"no module {name!r} was built", hint=f"built: {', '.join(names)}")
