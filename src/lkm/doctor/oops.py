"""Oopses, BUGs and warnings in a kernel log → facts.

Formats: ``arch/x86/kernel/dumpstack.c`` (show_regs, show_trace_log_lvl, show_opcodes),
``arch/x86/mm/fault.c`` (show_fault_oops), ``lib/dump_stack.c`` (dump_stack_print_info),
``kernel/panic.c`` (__warn), ``arch/arm64/kernel/{traps,process,stacktrace}.c``; the 5.x and the
6.x wording of each.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lkm import taint
from lkm.doctor.lines import LogLine, read

MAX_REPORT_LINES = 600
"""A report that goes on for longer has lost its end; what follows is somebody else's."""


class Kind(enum.Enum):
    """The kind of a report."""

    OOPS = "oops"
    BUG = "BUG"
    WARNING = "WARNING"
    PANIC = "panic"
    LOCKUP = "lockup"
    SANITIZER = "sanitizer"


@dataclass(frozen=True, slots=True)
class Location:
    """``function+offset/size [module]``; ``module`` is empty for the kernel itself.

    ``size`` is the distance to the next symbol, 0 when not given; ``address`` where the log has
    it. ``reliable`` is false for what the unwinder marked with ``?``: it only lay on the stack.
    """

    function: str
    offset: int
    size: int
    module: str = ""
    address: int | None = None
    reliable: bool = True

    def __str__(self) -> str:
        if not self.function:
            return f"{self.address:#x}"
        text = f"{self.function}+{self.offset:#x}"
        if self.size:
            text += f"/{self.size:#x}"
        return f"{text} [{self.module}]" if self.module else text


@dataclass(frozen=True, slots=True)
class Code:
    """The opcode bytes around the instruction pointer; ``fault`` indexes the trapping one."""

    data: bytes
    fault: int


@dataclass(frozen=True, slots=True)
class LinkedModule:
    """One entry of ``Modules linked in``: name, taint letters, and ``+`` loading, ``-`` going."""

    name: str
    taints: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Oops:
    """One report; what the log did not say is empty or ``None``."""

    kind: Kind
    title: str
    first_line: int
    last_line: int
    time: float | None = None
    details: tuple[str, ...] = ()
    source: str = ""
    error_code: int | None = None
    fault_address: int | None = None
    cpu: int | None = None
    pid: int | None = None
    comm: str = ""
    release: str = ""
    hardware: str = ""
    taints: tuple[taint.TaintFlag, ...] = ()
    location: Location | None = None
    code: Code | None = None
    registers: tuple[tuple[str, int], ...] = ()
    trace: tuple[Location, ...] = ()
    modules: tuple[LinkedModule, ...] = ()
    complete: bool = False


_LOCATION = re.compile(
    r"(?:(?P<bare>0x[0-9a-f]{4,16})|(?P<function>[A-Za-z_.$][\w.$@:<>~-]*)"
    r"\+0x(?P<offset>[0-9a-f]{1,16})(?:/0x(?P<size>[0-9a-f]{1,16}))?)"
    r"(?: \[(?P<module>[\w-]+)(?: [0-9a-f]{8,64})?\])?"
)
_FRAME = re.compile(
    r"^\s*(?:\[<(?P<address>[0-9a-f]{8,16})>\]\s+)?(?P<guess>\? )?" + _LOCATION.pattern + r"\s*$"
)
_RIP = re.compile(r"^\s*(?:RIP: (?P<cs>[0-9a-f]{4}):|pc : )(?:\[<(?P<address>[0-9a-f]+)>\] )?")
_CODE = re.compile(r"^\s*Code: (?P<bytes>(?:[<(]?[0-9a-f]{2,8}[>)]? ?)+)$")
_NO_CODE = re.compile(
    r"^\s*Code: (?:Unable to access opcode bytes at|Bad RIP value)(?: RIP)? ?"
    r"(?:0x(?P<at>[0-9a-f]+))?"
)
_REGISTER = re.compile(r"\b([A-Z]{2,3}\d{0,2}|R\d\d|x\d{1,2}|sp|lr|pstate) ?: ([0-9a-f]{8,16})\b")
_REGISTER_LINE = re.compile(r"^\s*(?:R[A-Z0-9]{2}|CR2|x\d{1,2}|sp|E[A-Z]{2}) ?: ?[0-9a-f]{4,}")
_CPU = re.compile(
    r"^\s*CPU: (?P<cpu>\d+)(?: UID: \d+)? PID: (?P<pid>\d+) Comm: (?P<comm>.{0,31}?)"
    r"(?: Kdump: loaded)? (?:Tainted: (?P<taints>[A-Z](?:[A-Z ]*[A-Z])?)|Not tainted)\s+"
    r"(?P<release>\S+)(?: |$)"
)
_MODULES = re.compile(r"^\s*Modules linked in: ?(?P<list>.*)$")
_MODULE = re.compile(r"([\w-]+)(?:\(([A-Z]*)([+-]?)\))?")
_END = re.compile(r"^\s*---\[ end (?:trace|Kernel panic)")
_CUT = re.compile(r"^-+\[ cut here \]-+$")
_SOURCE = re.compile(r" at (?P<source>[^\s:!]+:\d+)")
_WARNING_AT = re.compile(r"^WARNING: (?:CPU: \d+ PID: \d+ )?(?:at )?(?P<source>\S+:\d+)?")
_ERROR_CODE = re.compile(r"(?:error_code\(0x|Oops: )(?P<code>[0-9a-f]{4,8})(?:\)| \[#)")
_FAULT_ADDRESS = re.compile(r"address:? (?:0x)?(?P<address>[0-9a-f]{8,16})")

# The first line of a report. Where two match, the earlier in this list names the kind.
_TITLES: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (Kind.PANIC, r"^Kernel panic - not syncing"),
        (Kind.SANITIZER, r"^(?:BUG: )?(?:KASAN|KCSAN|KFENCE|KMSAN|UBSAN): "),
        (Kind.LOCKUP, r"^(?:watchdog: )?(?:BUG: soft lockup|.*hard LOCKUP)"),
        (Kind.LOCKUP, r"^INFO: task \S+ blocked for more than|^rcu: INFO: \S+ (?:self-)?detected"),
        (Kind.BUG, r"^kernel BUG at "),
        (Kind.WARNING, r"^WARNING: "),
        (Kind.OOPS, r"^BUG: (?:kernel NULL pointer|unable to handle|scheduling while|Bad page)"),
        (Kind.OOPS, r"^(?:Oops: )?general protection fault"),
        (Kind.OOPS, r"^kernel tried to execute (?:NX-protected|user) page"),
        (Kind.OOPS, r"^Unable to handle kernel"),
        (Kind.OOPS, r"^(?:Internal error: )?Oops(?: - \w+)?: "),
        (Kind.OOPS, r"^(?:invalid opcode|divide error|stack segment|double fault): \d{4} \[#"),
        (Kind.BUG, r"^BUG: "),
    )
)


def parse(text: str) -> tuple[Oops, ...]:
    """Return every report in ``text``, a kernel log in any usual form, in its order."""
    return tuple(_build(report) for report in _reports(read(text)))


def _title_kind(text: str) -> Kind | None:
    for kind, pattern in _TITLES:
        if pattern.match(text):
            return kind
    return None


def _reports(lines: Iterable[LogLine]) -> Iterator[list[LogLine]]:
    """Cut the log into reports: each from its first telling line to its end mark."""
    report: list[LogLine] = []
    finished = False
    for line in lines:
        starts = _CUT.match(line.text) is not None or (
            _title_kind(line.text) is not None and not _continues(report, finished)
        )
        if starts:
            if _has_title(report):
                yield report
            report, finished = [line], False
        elif report and not finished:
            report.append(line)
            finished = _END.match(line.text) is not None or len(report) >= MAX_REPORT_LINES
    if _has_title(report):
        yield report


def _continues(report: list[LogLine], finished: bool) -> bool:
    """Whether a further title belongs to the report under way: ``Oops:`` follows ``BUG:``."""
    if not report or finished:
        return False
    return not any(_CPU.match(line.text) for line in report)


def _has_title(report: Sequence[LogLine]) -> bool:
    return any(_title_kind(line.text) for line in report)


@dataclass(slots=True)
class _Draft:
    """One report as far as it was read."""

    code: Code | None = None
    code_address: int | None = None
    location: Location | None = None
    cpu: re.Match[str] | None = None
    hardware: str = ""
    tainted: str = ""
    error_code: int | None = None
    fault_address: int | None = None
    registers: dict[str, int] = field(default_factory=dict)
    trace: list[Location] = field(default_factory=list)
    modules: tuple[LinkedModule, ...] = ()
    details: list[str] = field(default_factory=list)
    in_trace: bool = False
    user: bool = False


def _build(report: Sequence[LogLine]) -> Oops:
    titles = [line for line in report if _title_kind(line.text)]
    title = titles[0]
    kind = _title_kind(title.text)
    assert kind is not None
    draft = _Draft()
    for line in report:
        _read_line(draft, line.text)
    if draft.code_address is not None and draft.location is not None:
        draft.location = _with_address(draft.location, draft.code_address)
    source = _source_of(kind, title.text)
    cpu = draft.cpu
    letters = (cpu["taints"] or "") if cpu else ""
    return Oops(
        kind=kind,
        title=title.text,
        first_line=report[0].number,
        last_line=report[-1].number,
        time=report[0].time,
        details=tuple(text for text in draft.details if text != title.text),
        source=source,
        error_code=draft.error_code,
        fault_address=draft.fault_address,
        cpu=int(cpu["cpu"]) if cpu else None,
        pid=int(cpu["pid"]) if cpu else None,
        comm=cpu["comm"] if cpu else "",
        release=cpu["release"] if cpu else "",
        hardware=draft.hardware,
        taints=taint.from_letters(letters),
        location=draft.location or _from_title(title.text),
        code=draft.code,
        registers=tuple(draft.registers.items()),
        trace=tuple(draft.trace),
        modules=draft.modules,
        complete=_END.match(report[-1].text) is not None,
    )


def _source_of(kind: Kind, title: str) -> str:
    if kind is Kind.WARNING:
        match = _WARNING_AT.match(title)
        return (match["source"] or "") if match else ""
    match = _SOURCE.search(title)
    return match["source"] if match else ""


def _from_title(title: str) -> Location | None:
    """Return the place named in the title itself, as a WARN or a sanitizer's report has it."""
    match = _LOCATION.search(title)
    return _location(match) if match and match["function"] else None


def _location(
    match: re.Match[str], *, address: int | None = None, reliable: bool = True
) -> Location:
    if match["bare"]:
        value = int(match["bare"], 16)
        return Location("", 0, 0, match["module"] or "", value, reliable)
    return Location(
        match["function"],
        int(match["offset"], 16),
        int(match["size"] or "0", 16),
        match["module"] or "",
        address,
        reliable,
    )


def _with_address(location: Location, address: int) -> Location:
    return Location(
        location.function, location.offset, location.size, location.module, address, True
    )


def _read_line(draft: _Draft, text: str) -> None:
    """Read one line of a report."""
    if draft.user:
        # The caller's user-space registers follow the kernel's; they say nothing about the fault.
        draft.user = text.strip() not in ("</TASK>", "") and not _MODULES.match(text)
        if draft.user:
            return
    if _read_rip(draft, text) or _read_frame(draft, text) or _read_code(draft, text):
        return
    if draft.cpu is None and (match := _CPU.match(text)):
        draft.cpu = match
    elif match := _MODULES.match(text):
        draft.modules = _linked(match["list"])
        draft.in_trace = False
    elif text.lstrip().startswith(("Hardware name: ", "Hardware: ")):
        draft.hardware = text.split(": ", 1)[1]
    elif _REGISTER_LINE.match(text):
        for name, value in _REGISTER.findall(text):
            draft.registers.setdefault(name, int(value, 16))
    else:
        _read_detail(draft, text)


def _read_rip(draft: _Draft, text: str) -> bool:
    match = _RIP.match(text)
    if match is None:
        return False
    if match["cs"] and int(match["cs"], 16) & 3:
        draft.user = True
        return True
    place = _LOCATION.match(text, match.end())
    if place and draft.location is None:
        address = int(match["address"], 16) if match["address"] else None
        draft.location = _location(place, address=address)
    return True


def _read_frame(draft: _Draft, text: str) -> bool:
    if re.match(r"^\s*Call [Tt]race:", text):
        draft.in_trace = True
        return True
    if not draft.in_trace:
        return False
    match = _FRAME.match(text)
    if match is None:
        if text.strip() and not re.match(r"^\s*</?[A-Z0-9_]+>\s*$", text):
            draft.in_trace = False
            return False
        return True
    address = int(match["address"], 16) if match["address"] else None
    draft.trace.append(_location(match, address=address, reliable=not match["guess"]))
    return True


# show_opcodes prints 42 bytes before the instruction pointer (PROLOGUE_SIZE).
_PROLOGUE_SIZE = 42


def _read_code(draft: _Draft, text: str) -> bool:
    if match := _NO_CODE.match(text):
        if match["at"] and draft.code_address is None:
            draft.code_address = int(match["at"], 16) + _PROLOGUE_SIZE
        return True
    match = _CODE.match(text)
    if match is None:
        return False
    if draft.code is None:
        draft.code = _code(match["bytes"].split())
    return True


def _code(words: Sequence[str]) -> Code:
    data = bytearray()
    fault = 0
    for word in words:
        if word[0] in "<(":
            fault = len(data)
        digits = word.strip("<>()")
        if len(digits) % 2:
            break
        # arm64 prints whole instructions as numbers; in memory they are little-endian.
        data += bytes.fromhex(digits)[:: 1 if len(digits) == 2 else -1]
    return Code(bytes(data), fault)


def _linked(text: str) -> tuple[LinkedModule, ...]:
    names = text.split(" [last unloaded:", maxsplit=1)[0]
    return tuple(LinkedModule(*found) for found in _MODULE.findall(names))


def _read_detail(draft: _Draft, text: str) -> None:
    """Take the fault's address and error code, and keep lines that say something in words."""
    if match := _ERROR_CODE.search(text):
        draft.error_code = int(match["code"], 16)
    if draft.fault_address is None and (match := _FAULT_ADDRESS.search(text)):
        draft.fault_address = int(match["address"], 16)
    plain = text.strip()
    dull = _CUT.match(plain) or _END.match(plain) or re.match(r"^(PGD|P4D|FS:|CS:|Tainted:)", plain)
    if plain and not dull and not draft.trace and draft.cpu is None:
        draft.details.append(plain)
