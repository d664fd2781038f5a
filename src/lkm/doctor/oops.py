"""Oopses, BUGs, warnings, stalls and sanitizers' findings in a kernel log → facts.

The form of a report's lines is in ``reports.reading``, its titles in ``reports.titles``, what a
processor says of a fault in ``reports.fault``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from lkm.doctor.lines import LogLine, read
from lkm.doctor.reports import fault
from lkm.doctor.reports.facts import Code, LinkedModule, Location, Oops, OtherTrace
from lkm.doctor.reports.reading import ReportDraft, read_line
from lkm.doctor.reports.titles import Kind, hung_task, title_kind

__all__ = ["Code", "Kind", "LinkedModule", "Location", "Oops", "OtherTrace", "parse"]

MAX_REPORT_LINES = 600
"""A report that goes on for longer has lost its end; what follows is somebody else's."""
MAX_REPORTS = 2000
"""Of a log with more, the first are read: what comes then follows from those."""

_END = re.compile(r"\s{0,40}---\[ end (?:trace|Kernel panic)")
_CUT = re.compile(r"\s{0,40}-{5,40}\[ cut here \]-{5,40}")
_RULE = re.compile(r"\s{0,40}={20,200}\s{0,40}$")
_CPU = re.compile(r"\s{0,40}(?:CPU: ?\d{1,5} |Pid: \d)")
# A report after which the machine stands still, or which has no line that ends it.
_ENDLESS = re.compile(
    r"irq \d|sysfs: |kobject_|INFO: |rcu: |sched: |NETDEV |ODEBUG|.{0,60}(?:page "
    r"alloc|lockup|LOCKUP)"
)


def parse(log: str | Iterable[str]) -> tuple[Oops, ...]:
    """Return every report in ``log``, a kernel log in any usual form, in its order.

    Reports of several processors or tasks that are interleaved are told apart by the caller that
    printk names. ``log`` is a text, or its lines.
    """
    found: list[Oops] = []
    for report, cut in _reports(read(log)):
        found.append(_build(report, log_ends=cut))
        if len(found) >= MAX_REPORTS:
            break
    return tuple(sorted(found, key=lambda oops: oops.first_line))


class _Reader:
    """Cuts the lines of one caller into reports: each from its first telling line to its end."""

    def __init__(self) -> None:
        self.report: list[LogLine] = []
        self.titled = False
        self.finished = False
        self.has_cpu = False
        self.last: Kind | None = None

    def feed(self, line: LogLine) -> list[LogLine] | None:
        """Take a line; return the report that it ends by beginning another."""
        text = line.text
        kind = title_kind(text)
        done = None
        cut = _CUT.match(text) is not None and not self._announced()
        if cut or (kind is not None and not self._continues(kind, text)):
            done = self.take()
            self.report = [line]
        elif self.report and not self.finished:
            self.report.append(line)
            self.finished = (
                _END.match(text) is not None
                or len(self.report) >= MAX_REPORT_LINES
                or (self.titled and self.last is Kind.SANITIZER and _RULE.match(text) is not None)
            )
        if kind is not None and self.report:
            self.titled = True
            self.last = self.last or kind
        self.has_cpu = self.has_cpu or _CPU.match(text) is not None
        return done

    def take(self) -> list[LogLine] | None:
        report = self.report if self.titled else None
        self.report, self.titled, self.finished, self.has_cpu, self.last = (
            [],
            False,
            False,
            False,
            None,
        )
        return report

    def _announced(self) -> bool:
        """Whether the report so far is what some checks print before the line that cuts."""
        early = self.titled and not self.has_cpu and not self.finished and len(self.report) < 10
        return early and self.last not in (Kind.LOCKUP, Kind.PANIC, Kind.SANITIZER)

    def _continues(self, kind: Kind, text: str) -> bool:
        """Whether a further title belongs to the report under way: ``Oops:`` follows ``BUG:``."""
        if not self.report or self.finished or kind is Kind.PANIC:
            return False
        if kind is Kind.LOCKUP:
            return not self.titled
        if self.last is Kind.LOCKUP:
            return text.startswith("rcu")
        return not self.has_cpu


_MAX_CALLERS = 64


def _reports(lines: Iterable[LogLine]) -> Iterator[tuple[list[LogLine], bool]]:
    """Yield reports, and whether the log ended in the middle of it."""
    readers: dict[str, _Reader] = {}
    for line in lines:
        caller = line.caller
        if caller not in readers and len(readers) >= _MAX_CALLERS:
            # Only the callers that are within a report are worth remembering.
            readers = {name: reader for name, reader in readers.items() if reader.report}
            if len(readers) >= _MAX_CALLERS:
                oldest = next(iter(readers))
                if report := readers.pop(oldest).take():
                    yield report, False
        reader = readers.get(caller)
        if reader is None:
            reader = readers[caller] = _Reader()
        if report := reader.feed(line):
            yield report, False
    for reader in readers.values():
        ends = not reader.finished
        if report := reader.take():
            yield report, ends


def _build(report: Sequence[LogLine], *, log_ends: bool) -> Oops:
    titles = [line for line in report[:80] if title_kind(line.text)]
    titles = titles or [line for line in report if title_kind(line.text)]
    title = titles[0]
    kind = title_kind(title.text)
    assert kind is not None
    draft = ReportDraft()
    for line in report:
        read_line(draft, line.text)
    draft.settle(title.text)
    hung = hung_task(title.text.strip())
    comm, pid = (hung[0], hung[1] or draft.pid) if hung else (draft.comm, draft.pid)
    words = tuple(dict.fromkeys(text for text in draft.details if text != title.text.strip()))
    judged = fault.judge(draft.machine, draft.facts, (title.text, *words))
    return Oops(
        kind=kind,
        title=title.text.strip(),
        first_line=report[0].number,
        last_line=report[-1].number,
        time=report[0].time,
        details=words,
        source=_source_of(kind, title.text),
        error_code=judged.error_code,
        fault_address=judged.address,
        access=judged.access,
        causes=judged.causes,
        machine=draft.machine,
        cpu=draft.cpu,
        pid=pid,
        comm=comm,
        release=draft.release,
        hardware=draft.hardware,
        taints=draft.taints,
        location=draft.location or _from_title(title.text),
        code=draft.code,
        registers=tuple(draft.registers.items()),
        trace=tuple(draft.trace),
        others=tuple(OtherTrace(name, tuple(frames)) for name, frames in draft.others if frames),
        modules=tuple(LinkedModule(*each) for each in draft.modules.values()),
        complete=not (log_ends and _misses_its_end(title.text, report)),
    )


def _misses_its_end(title: str, report: Sequence[LogLine]) -> bool:
    last = report[-1].text
    return not (_END.match(last) or _RULE.match(last) or _ENDLESS.match(title.lstrip()))


_SOURCE = re.compile(r"\bat (?P<source>[^\s:!()]{1,500}:\d{1,7})")
_IN_SOURCE = re.compile(r" in (?P<source>[^\s:]{1,500}\.[ch]:\d{1,7}(?::\d{1,5})?)")
_WARNING_AT = re.compile(
    r"WARNING: (?:CPU: \d{1,5} PID: \d{1,10} )?(?:at )?(?P<source>[^\s:]{1,500}:\d{1,7})"
)
_PANICKED = re.compile(r"panicked at (?:'[^']{0,300}', )?(?P<source>[^\s:]{1,500}:\d{1,7})")
_TITLE_PLACE = re.compile(
    r"(?<![\w.])(?P<function>[A-Za-z_.$][\w.$]{0,511})\+(?P<offset>0x[0-9a-f]{1,16})"
    r"(?:/(?P<size>0x[0-9a-f]{1,16}))?(?: \[(?P<module>[\w-]{1,64})[^\]]{0,80}\])?"
)
_HEX_LIMIT = 2000


def _source_of(kind: Kind, title: str) -> str:
    start = title.lstrip()[:_HEX_LIMIT]
    patterns = (_PANICKED, _WARNING_AT, _IN_SOURCE, _SOURCE)
    if kind not in (Kind.WARNING, Kind.BUG, Kind.SANITIZER):
        return ""
    for pattern in patterns:
        if match := pattern.search(start):
            return match["source"]
    return ""


def _from_title(title: str) -> Location | None:
    """Return the place named in the title itself, as a WARN or a sanitizer's report has it."""
    match = _TITLE_PLACE.search(title[:_HEX_LIMIT])
    if match is None:
        return None
    size = int(match["size"], 16) if match["size"] else 0
    return Location(match["function"], int(match["offset"], 16), size, match["module"] or "")
