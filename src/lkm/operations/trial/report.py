"""Turn observations of a module in a kernel into events and problems."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lkm import taint
from lkm.doctor import load_way
from lkm.doctor.finding import name_of
from lkm.errors import FormatError, KernelDiedError, KernelError
from lkm.kernel.kernel import Kernel
from lkm.kernel.log import LogRecord, parse_text
from lkm.kernel.proc import LoadedModule
from lkm.kernel.syscalls import FileReading
from lkm.kernel.uevent import Uevent
from lkm.module.parameters import Parameter
from lkm.operations.trial import events
from lkm.operations.trial.events import Phase
from lkm.operations.trial.observation import Observation, new_entries, observe
from lkm.operations.trial.source_lines import Place, Places, place
from lkm.operations.trial.subject import Wanted
from lkm.operations.trial.symbols import bound_symbols

if TYPE_CHECKING:
    from lkm.operations.trial.instruments import Instruments

_CRASHES = (
    *("BUG:", "kernel BUG", "WARNING:", "general protection", "Oops:", "------------[ cut"),
    *("divide error:", "invalid opcode:", "stack segment:", "double fault:"),
)
_ODD_RESULT = re.compile(r"'(\S+)'->init suspiciously returned (-?\d+)")
_UNKNOWN_PARAMETER = re.compile(r"^(\S+): unknown parameter '(.+)' ignored")
_LAST_WORDS = 100
"""Records of a dead kernel that are shown where none was before."""
_MOST_RECORDS = 20_000
_BAD_TAINT = "DWB"  # an oops, a warning, a corrupt page: a module's doing, not its origin


class Teller:
    """Looks at a kernel and gives what it sees to ``emit``; ``problems`` are, in words, the bad."""

    def __init__(
        self,
        kernel: Kernel,
        wanted: Wanted,
        emit: Callable[[events.Event], None],
        image: str,
        instruments: Instruments | None,
    ) -> None:
        self.emit = emit
        self.phase = Phase.DEPENDENCIES
        self.problems: list[str] = list(wanted.problems)
        self._kernel = kernel
        self._wanted = wanted
        self._image = image
        self._instruments = instruments
        self.unchecked: list[str] = []
        self._places = Places(wanted.image)
        self._there: set[str] = set()
        self._watch = kernel.watch_log()
        self._logged: list[str] = []
        self._streamed: set[int] = set()
        self._streamed_texts: set[str] = set()
        self._stages: set[tuple[Phase, str]] = set()
        self._state: LoadedModule | None = None

    def describe(
        self, name: str, tainted: int, before: Observation, seen: Sequence[Uevent]
    ) -> None:
        """Tell all there is of a module that was just loaded."""
        self.state(self._kernel.module(name))
        try:
            for shown in self._parameters(name):
                self.emit(shown)
            for bound in bound_symbols(self._wanted, self._image):
                self.emit(bound)
        except FormatError as error:
            self.problems.append(str(error))  # the kernel took what we cannot read
        self.tainted(tainted)
        after = observe(self._kernel)
        entries = new_entries(self._kernel, before, after, seen)
        registrations = tuple(sorted(after.registrations - before.registrations))
        self.emit(events.Appeared(entries, registrations))

    def stage(self, function: str) -> None:
        """Tell that the kernel came to a function on the module's way, once in each phase."""
        of_load = function not in load_way.NOT_OF_LOADING
        if self.phase is Phase.DEPENDENCIES or (of_load and self.phase is not Phase.LOAD):
            return
        if (self.phase, function) in self._stages:
            return
        self._stages.add((self.phase, function))
        point = load_way.POINTS[function]
        self.emit(events.Stage(self.phase, function, point.meaning, point.gate))

    def logging(self, record: LogRecord) -> None:
        """Tell a record that the kernel just wrote; the log has it too, afterwards."""
        if len(self._streamed) >= _MOST_RECORDS:
            return  # the log is being flooded, which is told with what is left of it
        self._streamed.add(record.sequence)
        self._streamed_texts.add(record.text)
        self.emit(events.Logged(self.phase, record))

    def new_state(self, name: str) -> None:
        """Tell a module's line of /proc/modules if it changed since it was told."""
        module = self._kernel.module(name)
        if module != self._state:
            self.state(module)

    def state(self, module: LoadedModule) -> None:
        """Tell a module's line of /proc/modules."""
        self._state = module
        self.emit(
            events.State(
                module.name,
                module.state,
                module.size,
                module.address,
                module.refcount,
                module.holders,
                self._wanted.image.memory.init if module.state == "Live" else 0,
            )
        )

    def stuck(self) -> bool:
        """Tell of a module whose init was killed, which the kernel keeps for ever, if it was."""
        stuck = [m for m in self._kernel.modules() if m.name == self._wanted.image.name]
        for module in stuck:
            self.state(module)
        return bool(stuck)

    def _parameters(self, module: str) -> Iterator[events.ParameterShown]:
        folder = f"/sys/module/{module}/parameters"
        values = self._kernel.parameters(module)
        known = {parameter.name: parameter for parameter in self._wanted.image.parameters}
        for name in sorted(known.keys() | values.keys()):
            permission = None
            with contextlib.suppress(OSError):
                permission = self._kernel.stat(f"{folder}/{name}").mode & 0o777
            about = known.get(name) or Parameter(name)
            yield events.ParameterShown(
                name, about.type or "", permission, values.get(name), about.description or ""
            )

    def tainted(self, before: int) -> None:
        """Tell the taint flags that were not there before; those of a crash are problems."""
        new = self._kernel.taint() & ~before
        if new:
            flags = taint.decode(new)
            self.emit(events.Tainted(taint.letters(new), tuple(flag.meaning for flag in flags)))
            self.problems += [flag.cause for flag in flags if flag.letter in _BAD_TAINT]

    def begin(self) -> Observation:
        """Look at the kernel before the module is loaded."""
        self._there = {module.name for module in self._kernel.modules()}
        return observe(self._kernel)

    def endless(self, target: str, reading: FileReading) -> None:
        """Tell that a file has no end: its read function never returns 0."""
        size = len(reading.data) // reading.reads
        words = (
            f"reading {target} does not end: {reading.reads} reads gave {size} bytes each; its "
            "read function must return 0 at the end, and move the position (*ppos)"
        )
        at = self._instruments.last_copy() if self._instruments else None
        self._broken("endless read", words, at or Place(""))

    def _broken(self, rule: str, words: str, where: Place) -> None:
        self.emit(events.RuleBroken(rule, words, where))
        self.problems.append(f"{words} ({where.at})" if where.at else words)

    def found(self) -> None:
        """Tell what the instruments found since the last time."""
        if self._instruments:
            self.problems += self._instruments.tell_new()

    def left(self, before: Observation, seen: Sequence[Uevent]) -> None:
        """Tell what is there that was not before, and memory that was not given back."""
        named = ""
        if self._instruments:
            self.problems += self._instruments.tell_leaks()
            named = " ".join(self._instruments.left_behind())
        came = self._others_gone()
        careful = bool(named) or not self._instruments
        after = observe(self._kernel, careful=careful)
        self.problems += after.problems
        entries = tuple(
            entry
            for entry in new_entries(self._kernel, before, after, seen)
            if not entry.path.startswith(came)
        )
        registrations = tuple(sorted(after.registrations - before.registrations))
        self.emit(events.LeftBehind(entries, registrations))
        self.problems += [
            f"{entry.path} is still there" for entry in entries if entry.path not in named
        ]
        self.problems += [
            f"{each.kind} {each.name} is still registered"
            for each in registrations
            if each.name.split()[-1] not in named
        ]

    def _others_gone(self) -> tuple[str, ...]:
        """Unload what the kernel loaded by itself; return the sysfs paths of what would not go."""
        here = [module.name for module in self._kernel.modules()]
        came = [name for name in here if name not in self._there | {self._wanted.image.name}]
        asked = {dependency.module for dependency in self._wanted.after}
        came = [name for name in came if name not in asked]
        if not came:
            return ()
        self.emit(events.ModulesCame(tuple(reversed(came))))
        if not self._kernel.syscalls.shares_host_files:
            for name in came:  # newest first
                with contextlib.suppress(KernelError):
                    self._kernel.unload(name)
        stay = [name for name in came if self._kernel.is_loaded(name)]
        self.unchecked += [
            f"what {name}, which the kernel loaded, is to blame for" for name in stay
        ]
        return tuple(f"/sys/module/{name}/" for name in stay) + tuple(
            f"/sys/module/{name}" for name in stay
        )

    def new_log(self) -> None:
        """Tell what the kernel logged since the last time, and what the instruments found."""
        self._log(self._watch.new_records())
        self.found()

    def death(self, error: KernelDiedError) -> None:
        """Tell that the kernel died, and what it said last."""
        if self._instruments:
            self._instruments.tell_waiting()
        told = set(self._logged)
        records = parse_text("\n".join(error.log))
        # A dead kernel gives its whole log: what it said when it booted is of no interest.
        known = (n for n, record in enumerate(records) if record.text in told)
        start = next(known, max(len(records) - _LAST_WORDS, 0))
        self._log([record for record in records[start:] if record.text not in told])
        self.emit(events.Died(error.operation, error.reason))
        self.found()
        self.problems.append(f"the kernel died: {error.reason}")

    def _log(self, records: Sequence[LogRecord]) -> None:
        room = max(_MOST_RECORDS - len(self._logged), 0)
        for record in records[:room]:
            self._logged.append(record.text)
            if not self._was_streamed(record):
                self.emit(events.Logged(self.phase, record))
        for record in records[:room]:
            self._tell_complaint(record.text)
        if room and len(records) > room:
            self.problems.append(f"it floods the log: {_MOST_RECORDS} records are told of it")
        self._tell_crashes(records[:_MOST_RECORDS])

    def _tell_complaint(self, line: str) -> None:
        """Tell what the kernel only mentions, and goes on."""
        image = self._wanted.image
        if (odd := _ODD_RESULT.search(line)) and odd[1] == image.name:
            words = (
                f"its init function returned {odd[2]}: 0 or a negative error number is expected, "
                "the kernel takes it for success"
            )
            self._broken("init result", words, self._places.of_symbol("init_module"))
        elif (unknown := _UNKNOWN_PARAMETER.search(line)) and unknown[1] == image.name:
            names = [parameter.name for parameter in image.parameters]
            close = difflib.get_close_matches(unknown[2], names, 1, 0.5)
            has = f"it has {', '.join(sorted(names))}" if names else "it has none"
            hint = f"did you mean {close[0]}?" if close else has
            words = f"it has no parameter {unknown[2]}, which was ignored: {hint}"
            self._broken("unknown parameter", words, Place(""))

    def _was_streamed(self, record: LogRecord) -> bool:
        if record.sequence:
            return record.sequence in self._streamed
        return record.text in self._streamed_texts  # read from a dead kernel's memory

    def _tell_crashes(self, records: Sequence[LogRecord]) -> None:
        """Tell in words what oopses, BUGs and warnings there are in a piece of the log."""
        if not any(record.text.startswith(_CRASHES) for record in records):
            return
        from lkm.doctor.oops import Kind  # the doctor is called when something is wrong
        from lkm.operations.oops import decode

        text = "\n".join(record.text for record in records)
        files = [Path(self._wanted.image.path)]
        for report in decode(text, files=files):
            if report.oops.kind is Kind.PANIC:
                continue  # told as the kernel's death
            frame = report.frames[0] if report.frames else None
            where = place(str(frame.location), frame.source) if frame else Place("")
            self.emit(events.Crashed(report.words, where))

    def refusal(
        self, error: KernelError, causes: tuple[str, ...] = (), advice: tuple[str, ...] = ()
    ) -> None:
        """Tell that the kernel refused something, and why as far as that is known."""
        name = name_of(error.errno)
        what = os.strerror(error.errno) if error.errno else ""
        self.emit(
            events.Refused(
                error.operation,
                error.errno,
                f"{name} ({what})" if name else "",
                error.signal,
                causes,
                advice,
            )
        )
        self.problems.append(str(error))

    def in_use(self, name: str, opened: Sequence[str] = ()) -> tuple[str, ...]:
        """Return in words who keeps a module from being unloaded; ``opened`` by this trial."""
        from lkm.operations.running.users import users_in  # only where unloading is refused

        module = self._kernel.module(name)
        if module.permanent:
            return (f"{name} has no exit function, so it cannot be unloaded",)
        evidence = users_in(self._kernel, name).evidence
        users = [each.value for each in evidence if each.what.startswith("used by")]
        users += [f"this trial, which has {path} open" for path in opened]
        by = f", held by {', '.join(users)}" if users else ""
        return (f"{name} is in use: {module.refcount} references{by}",)

    def cause(self, error: KernelError, parameters: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the cause of a refused load in words, and what to do; none where a failure was
        ordered."""
        if self._instruments and self._instruments.failed():
            return (), ()
        from lkm.operations.explanation import first_finding  # half of lkm comes with it

        finding = first_finding(
            self._kernel,
            self._wanted.image.path,
            parameters,
            errno=error.errno,
            signal=error.signal,
            lines=error.log,
        )
        advice = [line for fix in finding.fixes for line in (fix.text, *fix.commands)]
        return (finding.cause,), tuple(advice)
