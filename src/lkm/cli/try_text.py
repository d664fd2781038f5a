"""How the events of ``lkm try`` look: as text for people, or as a JSON object a line."""

from __future__ import annotations

import functools
import os
import re
import sys
from dataclasses import dataclass

from lkm.cli import terminal
from lkm.cli.output import ProgressLine
from lkm.cli.text import inert, printable
from lkm.operations.trial import encoding, events
from lkm.operations.trial.events import Outcome
from lkm.operations.trial.observation import ObservedEntry, Registration
from lkm.operations.trial.source_lines import Place

_MOST_SYMBOLS = 12


class JsonLines:
    """Prints each event as one line of JSON: its name as ``event``, then its fields."""

    def __call__(self, event: events.Event) -> None:
        """Print an event; progress is not one that a program needs."""
        if isinstance(event, events.Progress):
            return
        document = {"schema": "lkm.try/1", **encoding.document(event)}
        sys.stdout.write(inert(encoding.encoded(document)) + "\n")
        sys.stdout.flush()

    def interrupted(self) -> None:
        """All that happened was printed when it did."""

    def close(self) -> None:
        """Nothing is kept open."""


class TextPrinter:
    """Prints the verdict first, then what was told, in its order, when all of it is known.

    ``verbose`` leaves nothing out: else lines that repeat are counted, and of the symbols that
    a module uses only some are named.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self._progress = ProgressLine()
        self._told: list[events.Event] = []
        self._verbose = verbose

    def __call__(self, event: events.Event) -> None:
        """Take an event; the last one prints them all."""
        if isinstance(event, events.Progress):
            self._progress(event.what, event.done, event.total)
            return
        self._told.append(event)
        if isinstance(event, events.Finished):
            self._print(_headline(event))

    def interrupted(self) -> None:
        """Print what was told before the user ended it."""
        if self._told and not isinstance(self._told[-1], events.Finished):
            self._print([_row("ended", "by you, before it was finished")])

    def close(self) -> None:
        """Leave the line of progress empty."""
        self._progress.clear()

    def _print(self, headline: list[str]) -> None:
        self._progress.clear()
        told = self._told if self._verbose else _without_traces(self._told)
        details = [line for event in told for line in _details(event, self._verbose)]
        if not self._verbose:
            details = _folded(details)
        for line in [*headline, "", *details]:
            print(line)
        sys.stdout.flush()


def _details(event: events.Event | _Hidden, verbose: bool) -> list[str]:
    if isinstance(event, _Hidden):
        return [_row("", f"({event.lines} lines of registers and calls: --verbose)")]
    if verbose and isinstance(event, events.Bound):
        return [
            _row("uses", f"{len(event.symbols)} of {event.provider}: {' '.join(event.symbols)}")
        ]
    if verbose and isinstance(event, events.Built):
        return [*_lines(event), _row("", event.module)]
    return _lines(event)


@dataclass(frozen=True, slots=True)
class _Hidden:
    """Log lines that are only shown when asked for."""

    lines: int


def _without_traces(told: list[events.Event]) -> list[events.Event | _Hidden]:
    """Return the events, with the registers and calls that a crash logs only counted."""
    shown: list[events.Event | _Hidden] = []
    for event in told:
        if isinstance(event, events.Logged) and _TRACE.match(event.record.text):
            last = shown[-1] if shown else None
            if isinstance(last, _Hidden):
                shown[-1] = _Hidden(last.lines + 1)
            else:
                shown.append(_Hidden(1))
        else:
            shown.append(event)
    return shown


def _folded(lines: list[str]) -> list[str]:
    """Return the lines, each run of lines that only differ in their time as one and a number."""
    folded: list[str] = []
    before, count = "", 0
    for line in [*lines, ""]:
        alike = _TIME.sub("", line)
        if alike == before and alike:
            count += 1
            continue
        if count:
            folded.append(_row("", f"(the same {count} more time{'s' if count > 1 else ''})"))
        folded.append(line)
        before, count = alike, 0
    return folded[:-1]


def _headline(finished: events.Finished) -> list[str]:
    verdict = finished.verdict
    if verdict is None:
        return [_row("problem", problem) for problem in finished.problems] or [_row("good", "")]
    kind = f"{verdict.kind}:"
    first, *rest = terminal.wrapped(printable(verdict.headline), len(kind) + 1)
    head = terminal.coloured(kind, _COLOURS[verdict.kind])
    lines = [f"{head} {first}", *(f"  {line}" for line in rest)]
    if verdict.cause:
        lines.append(_row("because", verdict.cause))
    if verdict.place is not None:
        lines += _where("at", verdict.place)
    lines += [
        _row("do" if number == 0 else "", advice) for number, advice in enumerate(verdict.advice)
    ]
    if verdict.further:
        lines.append(_row("and", f"{verdict.further} more problem{'s'[: verdict.further > 1]}"))
        lines += [_row("problem", problem) for problem in finished.problems]
    return lines


@functools.singledispatch
def _lines(event: object) -> list[str]:
    raise TypeError(f"no text for {type(event).__name__}")


@_lines.register
def _(event: events.LaidOut) -> list[str]:
    rows = [_row("memory", f"{event.module}, {event.moment}")]
    for run in event.pages:
        pages = f"{run.count} page" + ("s" if run.count > 1 else "")
        place = f"{run.address:#x}  {run.permissions or 'gone':<4}  {pages:<8}"
        rows.append(_row("", f"{place}  {' '.join(run.sections)}"))
    return rows


@_lines.register
def _(event: events.Relocated) -> list[str]:
    where = f"{event.section}+{event.place:#x}: {event.type} {event.symbol}"
    return [_row("relocated", f"{where}: {event.before} → {event.after}")]


@_lines.register
def _(event: events.MemoryFreed) -> list[str]:
    return [_row("freed", f"{event.bytes} bytes, which only init used")]


@_lines.register
def _(event: events.Stage) -> list[str]:
    return [_row("stage", f"{event.function}: {event.meaning}")]


@_lines.register
def _(event: events.Waiting) -> list[str]:
    return [_row("waits", f"{event.seconds:g} s for what to do next")]


@_lines.register
def _(event: events.KernelChosen) -> list[str]:
    return [_row("kernel", f"{event.kernel}: {event.reason}")]


@_lines.register
def _(event: events.Built) -> list[str]:
    took = _seconds(event.seconds) if event.seconds else "nothing had changed"
    name = os.path.basename(event.module)
    warnings = map(printable, event.warnings.splitlines())
    return [*warnings, _row("built", f"{name} by {event.way} ({took})")]


@_lines.register
def _(event: events.TurnBegun) -> list[str]:
    return ["", _row("module", f"{event.module} ({event.number} of {event.total})")]


@_lines.register
def _(event: events.KernelReady) -> list[str]:
    return [_row("", f"{event.release}, {event.how} in {_seconds(event.seconds)}")]


@_lines.register
def _(event: events.DependencyLoaded) -> list[str]:
    outcome = f"refused: {event.error}" if event.error else _seconds(event.seconds)
    return [_row("needs", f"{event.module}: {event.reason} ({outcome})")]


@_lines.register
def _(event: events.Loaded) -> list[str]:
    parameters = f" {event.parameters}" if event.parameters else ""
    return [_row("loaded", f"{event.module}{parameters} in {_seconds(event.seconds)}")]


@_lines.register
def _(event: events.Refused) -> list[str]:
    why = f"killed by signal {event.signal}" if event.signal else event.error
    return [_row("refused", f"{event.operation}: {why}")]


@_lines.register
def _(event: events.Died) -> list[str]:
    return [_row("died", f"the kernel, while {event.operation}: {event.reason}")]


@_lines.register
def _(event: events.Logged) -> list[str]:
    record = event.record
    lost = [_row("log", f"({record.lost} records were lost)")] if record.lost else []
    level = f"<{record.level_name}> " if record.level <= 4 else ""
    return [*lost, _row("log", f"[{record.seconds:12.6f}] {level}{record.text}")]


@_lines.register
def _(event: events.State) -> list[str]:
    users = "" if event.refcount is None else f", {event.refcount} references"
    held = f", held by {', '.join(event.holders)}" if event.holders else ""
    freed = f", {event.freed} more freed after init" if event.freed else ""
    place = f"{event.size} bytes at {event.address:#x}"
    return [_row("state", f"{event.state}, {place}{freed}{users}{held}")]


@_lines.register
def _(event: events.ParameterShown) -> list[str]:
    mode = "hidden" if event.permission is None else f"{event.permission:04o}"
    value = "" if event.value is None else f" = {event.value}"
    about = f"  {event.description}" if event.description else ""
    return [_row("parameter", f"{event.name}{value}  ({event.type or '?'}, {mode}){about}")]


@_lines.register
def _(event: events.Bound) -> list[str]:
    shown = " ".join(event.symbols[:_MOST_SYMBOLS])
    more = len(event.symbols) - _MOST_SYMBOLS
    rest = f" … {more} more" if more > 0 else ""
    return [_row("uses", f"{len(event.symbols)} of {event.provider}: {shown}{rest}")]


@_lines.register
def _(event: events.Tainted) -> list[str]:
    flags = zip(event.letters, event.meanings, strict=True)
    return [_row("taint", ", ".join(f"{letter} {meaning}" for letter, meaning in flags))]


@_lines.register
def _(event: events.Appeared) -> list[str]:
    return [*_entries("made", event.entries), *_registrations("registered", event.registrations)]


@_lines.register
def _(event: events.Acted) -> list[str]:
    shows = event.action in ("read", "mount", "run")
    plain = shows or event.action in ("open", "close")
    target = event.target if plain else f"{event.target} = {event.value!r}"
    if event.error:
        return [_row(event.action, f"{target}: {event.error}")]
    lines = event.value.splitlines() if shows else []
    if len(lines) == 1:
        return [_row(event.action, f"{target}: {lines[0]}")]
    return [_row(event.action, target), *(_row("", line) for line in lines)]


@_lines.register
def _(event: events.Unloaded) -> list[str]:
    return [_row("unloaded", f"{event.module} in {_seconds(event.seconds)}")]


@_lines.register
def _(event: events.LeftBehind) -> list[str]:
    if not event.entries and not event.registrations:
        return [_row("left", "nothing")]
    return [*_entries("left", event.entries), *_registrations("left", event.registrations)]


@_lines.register
def _(event: events.Crashed) -> list[str]:
    return [_row("crash", event.words), *_where("at", event.place)]


@_lines.register
def _(event: events.Leaked) -> list[str]:
    return [_row("leak", _allocation(event)), *_source(event.place)]


@_lines.register
def _(event: events.Faulted) -> list[str]:
    size = "" if event.size is None else f" of an object of {event.size} bytes"
    late = ", found when it was freed" if event.found_at_free else ""
    lines = [_row(event.kind, f"{event.access} at offset {event.offset}{size}{late}")]
    for label, place in (
        ("at", event.place),
        ("called by", event.caller),
        ("allocated", event.allocated),
        ("freed", event.freed),
    ):
        if place is not None:
            lines += _where(label, place)
    return lines


@_lines.register
def _(event: events.Called) -> list[str]:
    result = "" if event.result is None else f" = {event.result}"
    return [_row("call", f"{event.place.at}: {event.function}({event.arguments}){result}")]


@_lines.register
def _(event: events.Failed) -> list[str]:
    return [_row("failed", _allocation(event)), *_source(event.place)]


@_lines.register
def _(event: events.FailureTried) -> list[str]:
    error = f": {event.error}" if event.error and event.outcome is not Outcome.CRASH else ""
    lines = [_row("failed", f"{_allocation(event.failed)} → {event.outcome}{error}")]
    lines += _source(event.failed.place)
    if event.crash:
        lines += [_row("", event.crash.words), *_where("at", event.crash.place)]
    for leak in event.leaks:
        lines += [_row("leak", _allocation(leak)), *_source(leak.place)]
    return [*lines, *_entries("left", event.left)]


@_lines.register
def _(event: events.RuleBroken) -> list[str]:
    lines = [_row(event.rule, event.words), *_where("at", event.place)]
    for each in event.related:
        if each.place.at:
            lines += [_row("", f"{each.what}: {each.place.at}"), *_source(each.place)]
    return lines


@_lines.register
def _(event: events.ModulesCame) -> list[str]:
    return [_row("meanwhile", f"the kernel loaded {', '.join(event.modules)}")]


@_lines.register
def _(event: events.NotChecked) -> list[str]:
    return [_row("", f"not checked: {'; '.join(event.what)}")] if event.what else []


@_lines.register
def _(event: events.Finished) -> list[str]:
    return [_row("done", f"in {_seconds(event.seconds)}")]


def _allocation(event: events.Failed | events.Leaked) -> str:
    size = "" if event.size is None else f"{event.size} bytes, "
    return f"allocation {event.number}, {size}{event.function} at {event.place.at}"


def _where(label: str, place: Place) -> list[str]:
    return [_row(label, place.at), *_source(place)] if place.at else []


def _source(place: Place) -> list[str]:
    line = f": {place.text}" if place.text else ""
    where = terminal.shortened(place.line, _LABEL + 2)
    return [_row("", f"{where}{line}")] if place.line else []


def _entries(label: str, entries: tuple[ObservedEntry, ...]) -> list[str]:
    return [_row(label, f"{e.path} ({e.kind})" if e.kind else e.path) for e in entries]


def _registrations(label: str, found: tuple[Registration, ...]) -> list[str]:
    return [_row(label, f"{each.kind} {each.name}") for each in found]


def _row(label: str, content: str) -> str:
    """Return a line; in a terminal its label is coloured and what is too long is wrapped."""
    indent = " " * (_LABEL + 2)
    lines = terminal.wrapped(printable(content, "\t"), _LABEL + 2)
    head = terminal.coloured(f"{label:>{_LABEL}}", _COLOURS.get(label), bold=True)
    return "\n".join([f"{head}  {lines[0]}", *(f"{indent}{line}" for line in lines[1:])])


_LABEL = 10
_TRACE = re.compile(
    r"(?:R[A-Z0-9]{1,2}: |RIP: 0033:|RSP: |EFLAGS: |Code: |CS: |FS: |CR[0-9]: |DR[0-9]: |PKRU: |"
    r"Call Trace:|Modules linked in: |CPU: \d|Hardware name: |Workqueue: |---\[ end trace|"
    r" {0,8}</?[A-Z]{1,16}>|"
    r" (?:\? )?[\w.]+\+0x[0-9a-f]+/0x)"
)
_TIME = re.compile(r"\[ *\d+\.\d+\] ")
_BAD = ("refused", "crash", "died", "leak", "problem", "failed")
_COLOURS = dict.fromkeys(_BAD, "red") | dict.fromkeys(
    ("loaded", "unloaded", "done", "good"), "green"
)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
