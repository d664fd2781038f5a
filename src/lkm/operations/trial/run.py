"""One trial in an open kernel: load, observe, act, unload, observe again."""

from __future__ import annotations

import contextlib
import errno as errno_names
import os
import stat
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lkm.doctor.finding import name_of
from lkm.errors import KernelDiedError, KernelError, LkmError, UsageError
from lkm.kernel.kernel import Kernel
from lkm.kernel.uevent import UeventWatch
from lkm.module.image import ModuleImage
from lkm.operations.trial import actions, events
from lkm.operations.trial.events import Phase
from lkm.operations.trial.report import Teller
from lkm.operations.trial.request import Action, Procedure
from lkm.operations.trial.subject import Dependency, Wanted

if TYPE_CHECKING:
    from lkm.operations.trial.instruments import Instruments

SIG_ENFORCE = "/sys/module/module/parameters/sig_enforce"
LOCKDOWN = "/sys/kernel/security/lockdown"
_READ_LIMIT = 1 << 16
_SMALL_READ = 512
"""Bytes; a file that is read to its end gives more with each call but the last."""


class Run:
    """One trial in one kernel; every event goes to ``emit``."""

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
        self.tell = Teller(kernel, wanted, emit, image, instruments)
        self._name = ""
        self._loaded: list[str] = []
        self._killed = False
        self._opened: list[tuple[str, int]] = []
        self._mounts = 0

    @property
    def problems(self) -> list[str]:
        """The problems found, in words."""
        return self.tell.problems

    def carry_out(self, procedure: Procedure) -> None:
        """Do all of it; a refusal ends it, and so do a death of the kernel and the time limit."""
        self.kernel.limit_time(procedure.timeout)
        try:
            if procedure.sig_enforce:
                self.kernel.write_file(SIG_ENFORCE, "1")
            if procedure.lockdown:
                self.kernel.write_file(LOCKDOWN, "integrity")
            if self.load_dependencies():
                self._try_module(procedure)
            if not procedure.keep:
                self._give_back()
        except KernelDiedError as error:
            self.tell.death(error)
        except (LkmError, OSError) as error:
            # It hides, renames or breaks what is shown of it: what it does, not how we are used.
            self.problems.append(f"the trial ended early: {error}")
        finally:
            self.kernel.limit_time(None)

    def _try_module(self, procedure: Procedure) -> None:
        tainted = self.kernel.taint()
        with UeventWatch(self.kernel.syscalls) as uevents:
            before = self.tell.begin()
            if self.instruments:
                self.instruments.attach()
            if not self.load(procedure.parameters):
                self.tell.tainted(tainted)
                self._let_pass(procedure.wait)
                if not self.tell.stuck():
                    self.tell.left(before, uevents.new_events())
                return
            seen = list(uevents.new_events())
            self.tell.describe(self._name, tainted, before, seen)
            self._let_pass(procedure.wait)
            self.tell.phase = Phase.USE
            gone = any(self._act(action) for action in procedure.actions)
            self._close_all()
            for dependency in self.wanted.after:
                self._load_dependency(dependency)
            if self._killed:
                self.tell.unchecked.append("what follows a task's death in the module's code")
            elif not procedure.keep and (gone or self.unload()):
                self._let_pass(procedure.wait)
                self.tell.left(before, [*seen, *uevents.new_events()])

    def _let_pass(self, seconds: float) -> None:
        """Let time pass, so that timers, work and threads that the module started run."""
        try:
            self.kernel.syscalls.let_pass(seconds)
        except KernelDiedError as error:
            error.operation = "time passes"
            raise
        self.tell.new_log()

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
        else:
            self._loaded.append(dependency.module)
        seconds = time.monotonic() - started
        self.tell.emit(
            events.DependencyLoaded(
                dependency.module, dependency.path, dependency.reason, seconds, error
            )
        )
        self.tell.new_log()
        return not error

    def _give_back(self) -> None:
        """Unload what was loaded for the module, on the one machine that will go on."""
        if self.kernel.syscalls.shares_host_files:
            for name in reversed(self._loaded):
                with contextlib.suppress(KernelError):
                    self.kernel.unload(name)

    def load(self, parameters: Sequence[str]) -> bool:
        """Load the module; return whether the kernel took it."""
        self.tell.phase = Phase.LOAD
        image = self.wanted.image
        text = " ".join(filter(None, (self.wanted.options.strip(), *map(_quoted, parameters))))
        started = time.monotonic()
        try:
            self._name = self.kernel.load(_Loadable(image), text).name
        except KernelDiedError:
            raise
        except KernelError as error:
            self.tell.new_log()
            self.tell.refusal(error, *self.tell.cause(error, text))
            return False
        seconds = time.monotonic() - started
        self.tell.new_log()
        self.tell.emit(events.Loaded(self._name, image.path, text, seconds))
        if self.instruments:
            self.instruments.loaded()
        return True

    def unload(self) -> bool:
        """Unload the module; return whether the kernel let it go."""
        self.tell.phase = Phase.UNLOAD
        started = time.monotonic()
        try:
            self.kernel.unload(self._name)
        except KernelDiedError:
            raise
        except KernelError as error:
            self.tell.new_log()
            self.tell.refusal(error, self._users() if error.errno else ())
            return False
        seconds = time.monotonic() - started
        self.tell.new_log()
        self.tell.emit(events.Unloaded(self._name, seconds))
        return True

    def _users(self) -> tuple[str, ...]:
        return self.tell.in_use(self._name, [path for path, _ in self._opened])

    def _act(self, action: Action) -> bool:
        """Carry out an action and tell what came of it; return whether the module is gone."""
        if action.kind == "unload":
            return self._try_unload()
        value, error = action.value, ""
        try:
            if action.kind == "read":
                value = self._read(action, self._path(action.target))
            elif action.kind == "write":
                self._write(self._path(action.target), action.value)
            elif action.kind == "open":
                self._opened.append((action.target, self._open(action.target)))
            elif action.kind == "close":
                self._close(action.target)
            elif action.kind in ("ioctl", "mount", "run"):
                value = self._act_otherwise(action)
            else:
                self.kernel.set_parameter(self._name, action.target, action.value)
        except KernelDiedError:
            raise
        except (OSError, LkmError) as problem:
            error = _words(problem)
            self._killed = self._killed or isinstance(problem, _Killed)
            self.problems.append(f"{action.kind} {action.target}: {error}")
        self.tell.emit(events.Acted(action.kind, action.target, value, error))
        self.tell.new_log()
        self.tell.new_state(self._name)
        return False

    def _act_otherwise(self, action: Action) -> str:
        if action.kind == "ioctl":
            answer = actions.ioctl(self.kernel, self._path(action.target), action.value)
            return f"{action.value} → {answer}" if answer else action.value
        if action.kind == "run":
            return actions.run_program(self.kernel, action.target)
        names = actions.mount(self.kernel, action.target, action.value)
        self._mounts += 1
        return names

    def _try_unload(self) -> bool:
        """Ask for the module to be unloaded; that it is in use is an answer, not a problem."""
        before = len(self.problems)
        gone = self.unload()
        del self.problems[before:]
        if not gone:
            self.tell.phase = Phase.USE
            self.tell.new_state(self._name)
        return gone

    def _open(self, path: str) -> int:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        return self.kernel.syscalls.open(self._path(path), flags)

    def _close(self, path: str) -> None:
        """Close what was opened last by that path."""
        for opened in reversed(self._opened):
            if opened[0] == path:
                self._opened.remove(opened)
                self.kernel.syscalls.close(opened[1])
                return
        raise UsageError(f"{path} is not open")

    def _close_all(self) -> None:
        for _, descriptor in self._opened:
            self.kernel.syscalls.close(descriptor)
        self._opened.clear()
        for _ in range(self._mounts):
            actions.unmount(self.kernel)
        self._mounts = 0

    def _path(self, target: str) -> str:
        if target.startswith("/"):
            return target
        return f"/sys/module/{self._name}/parameters/{target}"

    def _read(self, action: Action, path: str) -> str:
        """Return at most 64 KiB of a file (some devices have no end), or a directory's names."""
        status = self.kernel.stat(path)
        if status.is_directory:
            return "".join(f"{name}\n" for name in self.kernel.list_directory(path))
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        reading = self.kernel.syscalls.read_in_task(path, flags, _READ_LIMIT)
        text = reading.data.decode("utf-8", "replace")
        if reading.signal:
            raise _Killed(reading.signal)
        if reading.errno and not (reading.errno == errno_names.EAGAIN and reading.data):
            raise OSError(reading.errno, os.strerror(reading.errno))
        small = reading.data and len(reading.data) < _SMALL_READ * reading.reads
        if reading.repeats or (small and stat.S_ISREG(status.mode) and not reading.ended):
            self.tell.endless(action.target, reading)
            return reading.data[: len(reading.data) // reading.reads].decode("utf-8", "replace")
        if not reading.ended and len(reading.data) >= _READ_LIMIT:
            self.tell.unchecked.append(f"{action.target} behind its first {_READ_LIMIT} bytes")
        return text

    def _write(self, path: str, text: str) -> None:
        flags = os.O_WRONLY | os.O_CLOEXEC
        outcome = self.kernel.syscalls.write_in_task(path, flags, text.encode())
        if outcome.signal:
            raise _Killed(outcome.signal)
        if outcome.errno:
            raise OSError(outcome.errno, os.strerror(outcome.errno))


class _Killed(OSError):
    """The task that made the call was killed: an oops, as a rule."""

    def __init__(self, signal: int) -> None:
        super().__init__(0, f"the task was killed by signal {signal}")


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
        name = name_of(problem.errno or 0)
        words = problem.strerror or str(problem)
        return f"{words} ({name})" if name else words
    return str(problem)
