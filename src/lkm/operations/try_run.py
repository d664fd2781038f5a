"""One run of a module in a kernel that is open: load, look, act, unload, look again."""

from __future__ import annotations

import contextlib
import errno as errno_names
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lkm import taint
from lkm.errors import KernelDiedError, KernelError, LkmError
from lkm.kernel.kernel import Kernel
from lkm.kernel.log import LogRecord
from lkm.kernel.proc import LoadedModule
from lkm.kernel.uevent import Uevent, UeventWatch
from lkm.module.image import ModuleImage
from lkm.module.parameters import Parameter
from lkm.operations import try_events as events
from lkm.operations.explanation import first_finding
from lkm.operations.observation import Observation, new_entries, observe
from lkm.operations.oops import decode
from lkm.operations.places import Place, place
from lkm.operations.try_events import Phase
from lkm.operations.try_modules import Dependency, Wanted
from lkm.operations.try_symbols import bound_symbols

if TYPE_CHECKING:
    from lkm.operations.try_instruments import Instruments

_SIG_ENFORCE = "/sys/module/module/parameters/sig_enforce"
_LOCKDOWN = "/sys/kernel/security/lockdown"
_READ_LIMIT = 1 << 16
_CRASHES = ("BUG:", "kernel BUG", "WARNING:", "general protection", "Oops:", "------------[ cut")
_BAD_TAINT = "DWB"  # an oops, a warning, a corrupt page: a module's doing, not its origin


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do while the module is loaded.

    ``set`` a parameter of it, ``read`` a file or (without a slash) a parameter, ``write`` to one.
    """

    kind: Literal["set", "read", "write"]
    target: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Procedure:
    """What is to be done with the module: switches first, load, actions in order, unload."""

    parameters: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    sig_enforce: bool = False
    lockdown: bool = False
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Watching:
    """What to watch for besides leaks; ``fail`` is the allocation to fail, from 1; 0: none."""

    guard: bool = False
    trace: bool = False
    fail: int = 0


class Run:
    """What is done with one kernel; everything that happens goes to ``emit``.

    ``problems`` are, in words, what went wrong.
    """

    def __init__(
        self,
        kernel: Kernel,
        wanted: Wanted,
        emit: Callable[[events.Event], None],
        image: str,
        instruments: Instruments | None = None,
    ) -> None:
        self.kernel = kernel
        self.wanted = wanted
        self.instruments = instruments
        self.problems: list[str] = list(wanted.problems)
        self._emit = emit
        self._image = image
        self._watch = kernel.watch_log()
        self._logged: list[LogRecord] = []
        self._name = ""

    def carry_out(self, procedure: Procedure) -> None:
        """Do all of it; a refusal ends it, and so does a death of the kernel."""
        try:
            if procedure.sig_enforce:
                self.kernel.write_file(_SIG_ENFORCE, "1")
            if procedure.lockdown:
                self.kernel.write_file(_LOCKDOWN, "integrity")
            if self.load_dependencies():
                self._try_module(procedure)
        except KernelDiedError as error:
            self._say_log(Phase.LOAD, error.log)
            self._emit(events.Died(error.operation, error.reason))
            self.problems.append(f"the kernel died: {error.reason}")
            self._tell_found()

    def _try_module(self, procedure: Procedure) -> None:
        tainted = self.kernel.taint()
        with UeventWatch(self.kernel.syscalls) as uevents:
            before = observe(self.kernel)
            if self.instruments:
                self.instruments.attach()
            if not self.load(procedure.parameters):
                self._tell_taint(tainted)
                if not self._tell_stuck():
                    self._tell_left(before, uevents.new_events())
                return
            seen = list(uevents.new_events())
            self._describe(tainted, before, seen)
            for action in procedure.actions:
                self._act(action)
            for dependency in self.wanted.after:
                self._load_dependency(dependency)
            if not procedure.keep and self.unload():
                self._tell_left(before, [*seen, *uevents.new_events()])

    def load_dependencies(self) -> bool:
        """Load what the module needs; return whether the kernel took all of it."""
        return all(self._load_dependency(dependency) for dependency in self.wanted.before)

    def _load_dependency(self, dependency: Dependency) -> bool:
        started = time.monotonic()
        error = ""
        try:
            self.kernel.load(dependency.path, dependency.options)
        except KernelDiedError:
            raise
        except KernelError as refused:
            if refused.errno != errno_names.EEXIST:
                error = str(refused)
                self.problems.append(error)
        seconds = time.monotonic() - started
        self._emit(
            events.DependencyLoaded(
                dependency.module, dependency.path, dependency.reason, seconds, error
            )
        )
        self._say_new_log(Phase.DEPENDENCIES)
        return not error

    def load(self, parameters: Sequence[str]) -> bool:
        """Load the module; return whether the kernel took it."""
        image = self.wanted.image
        text = " ".join(filter(None, (self.wanted.options.strip(), *map(_quoted, parameters))))
        started = time.monotonic()
        try:
            self._name = self.kernel.load(_Loadable(image), text).name
        except KernelDiedError:
            raise
        except KernelError as error:
            self._say_new_log(Phase.LOAD)
            self._refuse(error, self._why(error, text))
            return False
        seconds = time.monotonic() - started
        self._say_new_log(Phase.LOAD)
        self._emit(events.Loaded(self._name, image.path, text, seconds))
        return True

    def unload(self) -> bool:
        """Unload the module; return whether the kernel let it go."""
        started = time.monotonic()
        try:
            self.kernel.unload(self._name)
        except KernelDiedError:
            raise
        except KernelError as error:
            self._say_new_log(Phase.UNLOAD)
            self._refuse(error)
            return False
        seconds = time.monotonic() - started
        self._say_new_log(Phase.UNLOAD)
        self._emit(events.Unloaded(self._name, seconds))
        return True

    # What is told

    def _describe(self, tainted: int, before: Observation, seen: Sequence[Uevent]) -> None:
        self._tell_state(self.kernel.module(self._name))
        for shown in self._parameters():
            self._emit(shown)
        for bound in bound_symbols(self.wanted, self._image):
            self._emit(bound)
        self._tell_taint(tainted)
        after = observe(self.kernel)
        entries = new_entries(self.kernel, before, after, seen)
        registrations = tuple(sorted(after.registrations - before.registrations))
        self._emit(events.Appeared(entries, registrations))

    def _tell_state(self, module: LoadedModule) -> None:
        self._emit(
            events.State(
                module.name,
                module.state,
                module.size,
                module.address,
                module.refcount,
                module.holders,
                self.wanted.image.memory.init if module.state == "Live" else 0,
            )
        )

    def _tell_stuck(self) -> bool:
        """Tell of a module whose init was killed, which the kernel keeps for ever, if it was."""
        stuck = [m for m in self.kernel.modules() if m.name == self.wanted.image.name]
        for module in stuck:
            self._tell_state(module)
        return bool(stuck)

    def _parameters(self) -> Iterator[events.ParameterShown]:
        folder = f"/sys/module/{self._name}/parameters"
        values = self.kernel.parameters(self._name)
        known = {parameter.name: parameter for parameter in self.wanted.image.parameters}
        for name in sorted(known.keys() | values.keys()):
            permission = None
            with contextlib.suppress(OSError):
                permission = self.kernel.stat(f"{folder}/{name}").mode & 0o777
            about = known.get(name) or Parameter(name)
            yield events.ParameterShown(
                name, about.type or "", permission, values.get(name), about.description or ""
            )

    def _tell_taint(self, before: int) -> None:
        new = self.kernel.taint() & ~before
        if new:
            flags = taint.decode(new)
            self._emit(events.Tainted(taint.letters(new), tuple(flag.meaning for flag in flags)))
            self.problems += [flag.cause for flag in flags if flag.letter in _BAD_TAINT]

    def _tell_found(self) -> None:
        if self.instruments:
            self.problems += self.instruments.tell_new()

    def _tell_left(self, before: Observation, seen: Sequence[Uevent]) -> None:
        if self.instruments:
            self.problems += self.instruments.tell_leaks()
        after = observe(self.kernel)
        entries = new_entries(self.kernel, before, after, seen)
        registrations = tuple(sorted(after.registrations - before.registrations))
        self._emit(events.LeftBehind(entries, registrations))
        self.problems += [f"{entry.path} is still there" for entry in entries]
        self.problems += [f"{each.kind} {each.name} is still registered" for each in registrations]

    # Actions

    def _act(self, action: Action) -> None:
        value, error = action.value, ""
        try:
            if action.kind == "read":
                value = self._read(self._path(action.target))
            elif action.kind == "write":
                self.kernel.write_file(self._path(action.target), action.value)
            else:
                self.kernel.set_parameter(self._name, action.target, action.value)
        except KernelDiedError:
            raise
        except (OSError, LkmError) as problem:
            error = _words(problem)
            self.problems.append(f"{action.kind} {action.target}: {error}")
        self._emit(events.Acted(action.kind, action.target, value, error))
        self._say_new_log(Phase.USE)

    def _path(self, target: str) -> str:
        if target.startswith("/"):
            return target
        return f"/sys/module/{self._name}/parameters/{target}"

    def _read(self, path: str) -> str:
        """Return at most 64 KiB of a file (some devices have no end), or a directory's names."""
        if self.kernel.stat(path).is_directory:
            return "".join(f"{name}\n" for name in self.kernel.list_directory(path))
        syscalls = self.kernel.syscalls
        descriptor = syscalls.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        content = b""
        try:
            while len(content) < _READ_LIMIT:
                chunk = syscalls.read(descriptor, _READ_LIMIT - len(content))
                if not chunk:
                    break
                content += chunk
        finally:
            syscalls.close(descriptor)
        return content.decode("utf-8", "replace")

    # The log, and what it means

    def _say_new_log(self, phase: Phase) -> None:
        new = self._watch.new_records()
        self._logged += new
        for record in new:
            self._emit(events.Logged(phase, record))
        self._tell_crashes(new)
        self._tell_found()

    def _tell_crashes(self, records: Sequence[LogRecord]) -> None:
        """Tell in words what oopses, BUGs and warnings there are in a piece of the log."""
        if not any(record.text.startswith(_CRASHES) for record in records):
            return
        text = "\n".join(record.text for record in records)
        files = [Path(self.wanted.image.path)]
        for report in decode(text, files=files):
            frame = report.frames[0] if report.frames else None
            where = place(str(frame.location), frame.source) if frame else Place("")
            self._emit(events.Crashed(report.words, where))

    def _say_log(self, phase: Phase, lines: Sequence[str]) -> None:
        for line in lines:
            self._emit(events.Logged(phase, LogRecord(line)))

    def _refuse(self, error: KernelError, causes: tuple[str, ...] = ()) -> None:
        name = errno_names.errorcode.get(error.errno, str(error.errno)) if error.errno else ""
        what = os.strerror(error.errno) if error.errno else ""
        self._emit(
            events.Refused(
                error.operation,
                error.errno,
                f"{name} ({what})" if name else "",
                error.signal,
                causes,
            )
        )
        self.problems.append(str(error))

    def _why(self, error: KernelError, parameters: str) -> tuple[str, ...]:
        """Return the cause of a refused load in words, and the first command of its fix."""
        finding = first_finding(
            self.kernel,
            self.wanted.image.path,
            parameters,
            errno=error.errno,
            signal=error.signal,
            lines=error.log,
        )
        commands = [command for fix in finding.fixes for command in fix.commands]
        return (finding.cause, *(f"try: {command}" for command in commands[:1]))


class _Loadable:
    """A module image that errors call by its file name, not by where in a cache it is."""

    def __init__(self, image: ModuleImage) -> None:
        self.path = os.path.basename(image.path)
        self.payload = image.payload


def _quoted(parameter: str) -> str:
    """Return ``name=value`` as the kernel parses it: a value with a space in quotes."""
    name, equals, value = parameter.partition("=")
    if any(c.isspace() for c in value) and not value.startswith('"'):
        return f'{name}{equals}"{value}"'
    return parameter


def _words(problem: OSError | LkmError) -> str:
    if isinstance(problem, OSError):
        name = errno_names.errorcode.get(problem.errno or 0, "")
        return f"{problem.strerror or problem} ({name})" if name else str(problem)
    return str(problem)
