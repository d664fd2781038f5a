"""The lines of a report, each read for what it tells: the task, places, frames, code, modules.

Formats: ``lib/dump_stack.c: dump_stack_print_info`` (and its forms since 2.6.32),
``kernel/panic.c: __warn``, ``mm/kasan/report.c``, ``kernel/module/main.c: print_modules``, and
``arch/*/kernel/{traps,process,stacktrace,dumpstack}.c``; ``scripts/decode_stacktrace.sh``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from lkm import taint
from lkm.doctor.reports import machine_code, processor_state
from lkm.doctor.reports.facts import Code, Location

_MAX_TEXT = 4096
_MAX_FRAMES = 200
_MAX_MODULES = 2000
_MAX_DETAILS = 40
_MAX_OTHERS = 12


@dataclass(slots=True)
class ReportDraft:
    """What was read of one report so far."""

    code: Code | None = None
    code_lines: machine_code.CodeLines = field(default_factory=machine_code.CodeLines)
    code_address: int | None = None
    location: Location | None = None
    address: int | None = None
    cpu: int | None = None
    pid: int | None = None
    comm: str = ""
    release: str = ""
    taints: tuple[taint.TaintFlag, ...] = ()
    hardware: str = ""
    machine: str = ""
    facts: dict[str, int] = field(default_factory=dict)
    registers: dict[str, int] = field(default_factory=dict)
    trace: list[Location] = field(default_factory=list)
    others: list[tuple[str, list[Location]]] = field(default_factory=list)
    modules: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)
    target: list[Location] | None = None
    in_modules: bool = False
    user: bool = False

    def settle(self, title: str) -> None:
        """Combine what stood in several lines, once all are read."""
        place, address = self.location, self.address or self.code_address
        if place is None and self.trace and "Last Breaking" not in title:
            first = self.trace[0]
            if address is not None and first.address == address:
                self.location = replace(first, reliable=True)
        elif place is not None and place.address is None and address is not None:
            self.location = replace(place, address=address)
        if not self.machine:
            self.machine = "x86-64" if self.facts.get("x86") else ""
        self.code = self.code or self.code_lines.code(self.machine)


def read_line(draft: ReportDraft, line: str) -> None:
    """Take from one line of a report what it tells."""
    text = line[:_MAX_TEXT].strip()
    if not text:
        draft.user = False
        return
    if draft.user and not _leaves_user(draft, text):
        return
    for reader in _READERS:
        if reader(draft, text):
            return
    _read_detail(draft, text)


def _leaves_user(draft: ReportDraft, text: str) -> bool:
    """Pass over the caller's user-space registers, which follow the kernel's and say nothing."""
    if text == "</TASK>" or text.startswith(
        ("Modules linked in:", "---[", "CPU:", "RIP: 0010", "CR2:")
    ):
        draft.user = False
    return not draft.user


# The task


_TASK = re.compile(
    r"CPU: ?(?P<cpu>\d{1,5}) (?:UID: \d{1,10} )?PID: ?(?P<pid>\d{1,10}) (?P<comm>Comm: .{0,64}?)"
    r"(?: Kdump: loaded)? (?P<rest>(?:Tainted: |Not tainted).*)$"
)
_OLD_TASK = re.compile(
    r"(?:CPU \d{1,5} )?Pid: ?(?P<pid>\d{1,10}), (?P<comm>comm: .{0,64}?),? (?P<rest>(?:Tainted: "
    r"|Not tainted).*)$"
)
_TASK_LINE = re.compile(
    r"task:(?P<comm>.{1,64}?) {1,20}state:\S{1,12} {1,20}stack: {0,8}\d{1,8} {1,8}pid: "
    r"{0,8}(?P<pid>\d{1,10})"
)
_MIPS_CPU = re.compile(r"CPU: ?(?P<cpu>\d{1,5})(?: |$)")
_STUCK = re.compile(
    r"CPU ?#?(?P<cpu>\d{1,5}) stuck for .{1,20}\[(?P<comm>.{1,64}):(?P<pid>\d{1,10})\]"
)
_WARNED = re.compile(r", CPU#(?P<cpu>\d{1,5}): (?P<comm>.{1,64})/(?P<pid>\d{1,10})$")
_BY_TASK = re.compile(r" by task (?P<comm>.{1,64})/(?P<pid>\d{1,10})$")
_WARNING_CPU = re.compile(r"WARNING: CPU: (?P<cpu>\d{1,5}) PID: (?P<pid>\d{1,10}) ")


def _read_task(draft: ReportDraft, text: str) -> bool:
    match = _TASK.match(text) or _OLD_TASK.match(text)
    if match:
        if not draft.comm or not draft.release:
            draft.comm = match["comm"].partition(": ")[2].strip()
            draft.pid = int(match["pid"])
            if "cpu" in match.groupdict():
                draft.cpu = int(match["cpu"])
            _read_taints(draft, match["rest"])
        return True
    if text.startswith(("Tainted: [", "Tainted: ", "Not tainted ")):
        if text.startswith("Tainted: ["):
            named = taint.from_names(text.partition(": ")[2])
            draft.taints = taint.merged(draft.taints, named)
        elif not draft.release:
            _read_taints(draft, text)
        return True
    if match := _TASK_LINE.match(text):
        draft.comm, draft.pid = match["comm"], int(match["pid"])
        return True
    return False


def _read_taints(draft: ReportDraft, rest: str) -> None:
    flags, release = taint.read_field(rest)
    draft.taints = taint.merged(draft.taints, flags)
    draft.release = draft.release or release


_SUSPECTED = (_STUCK, _WARNED, _BY_TASK, _WARNING_CPU)


def _read_named_task(draft: ReportDraft, text: str) -> None:
    """Take a task named in a sentence, where no ``CPU:`` line has named one."""
    if draft.comm:
        return
    for pattern in _SUSPECTED:
        if match := pattern.search(text):
            groups = match.groupdict()
            draft.pid = int(match["pid"])
            draft.comm = groups.get("comm") or draft.comm
            if groups.get("cpu"):
                draft.cpu = int(match["cpu"])
            return


# Modules


_MODULE = re.compile(r"(?P<name>\w[\w-]{0,63})(?:\((?P<taints>[A-Z]{0,16})(?P<state>[+-]?)\))?$")


def _read_modules(draft: ReportDraft, text: str) -> bool:
    if text.startswith("Modules linked in:"):
        draft.in_modules = True
        _take_modules(draft, text.partition(":")[2].split())
        draft.target = None
        return True
    if not draft.in_modules:
        return False
    words = text.partition("[last unloaded:")[0].split()
    if (
        words and all(_MODULE.match(word) for word in words) and len(words) != 1
    ) or text.startswith("[last"):
        _take_modules(draft, words)
        return True
    draft.in_modules = False
    return False


def _take_modules(draft: ReportDraft, words: list[str]) -> None:
    for word in words:
        if word.startswith("[last") or len(draft.modules) >= _MAX_MODULES:
            return
        if match := _MODULE.match(word):
            entry = (match["name"], match["taints"] or "", match["state"] or "")
            draft.modules.setdefault(match["name"], entry)


# Places and frames


_OFFSETS = r"\+(?P<offset>0x[0-9a-f]{1,16})(?:/(?P<size>0x[0-9a-f]{1,16}))?"
# Rust's and C++'s names are long; they end at the offset.
_NAME = r"(?<![\w.$@<>~])(?P<function>[A-Za-z_.$0-9][\w.$@:<>~-]{0,1023}?)"
_MODULE_NAME = r"(?: \[?(?P<module>[A-Za-z_][\w-]{0,63})(?: [0-9a-f]{8,64})?\]?)"
_PLACE = re.compile(rf"{_NAME}{_OFFSETS}(?: \[(?P<module>[\w-]{{1,64}})(?: [0-9a-f]{{8,64}})?\])?")
_DECODED = re.compile(
    rf"(?P<function>[A-Za-z_][\w.$]{{0,255}}) \((?P<source>[^\s()]{{1,300}}:\d{{1,7}})"
    rf"(?: [^\s()]{{1,300}}:\d{{1,7}}|(?: \(discriminator "
    rf"\d{{1,5}}\))){{0,16}}\){_MODULE_NAME}?\s*$"
)
_FRAME_HEAD = re.compile(
    r"(?P<lead>(?:\[#?\w{1,18}\] {1,3}){0,2}(?:\[<(?P<address>[0-9a-f]{8,16})>\]\s{1,4})?"
    r"(?:\(\[?<?[0-9a-f]{8,16}>?\]?\)\s{1,3})?(?:\[<[0-9a-f]{8,16}>\]\s{1,3})?)(?P<guess>\? {1,2})?"
)
_BARE = re.compile(r"(?:0x)?(?P<bare>[0-9a-f]{8,16})$")
_ARM = re.compile(
    r"(?:\[<(?P<a>[0-9a-f]{8})>\] )?\(?(?P<fn>[\w.$]{1,255})(?:\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8})?"
    r"(?: \[(?P<fm>[\w-]{1,64})\])?\)? from (?:\[<(?P<b>[0-9a-f]{8})>\] )?"
    rf"\(?{_PLACE.pattern}\)?\s*$"
)
_TRACE_START = re.compile(r"(?:Call [Tt]race|Backtrace|Trace):?")
_MARK = re.compile(r"</?[A-Z0-9_#]{2,16}>(?:\s[^\n]{0,200})?$|={3}|\.\.\.$|<snip>")
_OTHER_START = re.compile(
    r"(?P<title>(?:Allocated|Freed|Last potentially related work creation|Second to last "
    r"potentially "
    r"related work creation|allocated by|freed by|Free path|Uninit was (?:stored to memory "
    r"at|created at)"
    r"|Local variable .{1,80} created at|(?:read|write)(?: \(marked\))? to 0x[0-9a-f]{1,16} of|"
    r"Workqueue: |The buggy address belongs to stack of task)"
    r"[^:]{0,120})(?::.{0,80})?$"
)  # fmt: skip


def _read_trace(draft: ReportDraft, text: str) -> bool:
    if _TRACE_START.match(text):
        draft.target = draft.trace
        rest = text.partition(":")[2].strip()
        if rest:
            _take_frame(draft, rest)
        return True
    if match := _OTHER_START.match(text):
        if text.startswith("Workqueue: "):
            return False
        if len(draft.others) < _MAX_OTHERS:
            draft.others.append((match["title"].rstrip(": "), []))
            draft.target = draft.others[-1][1]
        return True
    if draft.target is None:
        if match := _ARM.match(text):
            draft.target = draft.trace
            return _take_frame(draft, text)
        if text.startswith("[<") and _PLACE.search(text[:600]):
            # The second line of a pair, or a trace whose first line the log lost.
            draft.target = draft.trace
            return _take_frame(draft, text)
        return False
    if _take_frame(draft, text):
        return True
    if _MARK.match(text):
        return True
    draft.target = None
    return False


def _take_frame(draft: ReportDraft, text: str) -> bool:
    target = draft.target
    found = _frame(text)
    if found is None or target is None:
        return False
    if len(target) < _MAX_FRAMES:
        target.append(found)
    return True


def _frame(text: str) -> Location | None:
    if " from " in text and (match := _ARM.match(text)):
        address = int(match["b"], 16) if match["b"] else None
        return _location(match, address=address)
    head = _FRAME_HEAD.match(text)
    assert head is not None  # every part may be empty
    rest = text[head.end() :]
    reliable = not head["guess"] and not rest.endswith("(unreliable)")
    rest = rest.removesuffix("(unreliable)").rstrip()
    numbers = re.findall(r"[0-9a-f]{8,16}", head["lead"])
    address = int(numbers[-1], 16) if numbers else None
    if match := _PLACE.fullmatch(rest):
        return _location(match, address=address, reliable=reliable)
    if match := _DECODED.match(rest):
        module = match["module"] or ""
        return Location(match["function"], 0, 0, module, address, reliable, match["source"])
    if (match := _BARE.match(rest)) and (head["lead"] or rest.startswith("0x")):
        return Location("", 0, 0, "", int(match["bare"], 16), reliable)
    if numbers and (match := re.match(r"0x([0-9a-f]{4,16})(?: \[([\w-]{1,64})\])?$", rest)):
        return Location("", 0, 0, match[2] or "", int(match[1], 16), reliable)
    if match := re.match(r"0x([0-9a-f]{4,16})(?: \[([\w-]{1,64})\])?$", rest):
        return Location("", 0, 0, match[2] or "", int(match[1], 16), reliable)
    return None


def _location(
    match: re.Match[str], *, address: int | None = None, reliable: bool = True
) -> Location:
    size = int(match["size"], 16) if match["size"] else 0
    return Location(
        match["function"], int(match["offset"], 16), size, match["module"] or "", address, reliable
    )


_COUNTER = re.compile(
    r"(?P<kind>RIP|EIP|IP|PC is at|pc|epc|NIP|ERA|PC|TPC|Krnl PSW|IAOQ\[0\])\b {0,4}:? {0,4}"
    r"(?P<rest>.*)$"
)
_SEGMENT = re.compile(r"(?P<cs>[0-9a-f]{4}):")
_IN_BRACKETS = re.compile(r"(?:\[?<?(?P<address>[0-9a-f]{8,16})>?\]?[ ,]{0,4}){1,3}")
_COUNTERS = {
    "RIP": "x86-64", "EIP": "i386", "pc": "arm64", "epc": "", "NIP": "ppc64", "ERA": "loongarch64",
    "Krnl PSW": "s390x", "PC is at": "", "IP": "", "PC": "", "TPC": "sparc64", "IAOQ[0]": "parisc",
}  # fmt: skip


def _read_counter(draft: ReportDraft, text: str) -> bool:
    """Read the line with the program counter, by any machine's name for it."""
    match = _COUNTER.match(text)
    if match is None:
        return False
    kind, rest = match["kind"], match["rest"]
    if segment := _SEGMENT.match(rest):
        if int(segment["cs"], 16) & 3 and kind in ("RIP", "EIP"):
            draft.user = True
            return True
        rest = rest[segment.end() :]
    rest = rest.removeprefix("is at ").strip()
    if kind in ("pc", "epc") and not _PLACE.search(rest[:1200]) and not _DECODED.match(rest):
        return False  # the line of registers that begins with it
    draft.machine = draft.machine or _COUNTERS[kind]
    if kind == "Krnl PSW":
        numbers = re.findall(r"[0-9a-f]{16}", rest[:60])
        draft.address = draft.address or (int(numbers[-1], 16) if numbers else None)
    elif address := _IN_BRACKETS.match(rest):
        draft.address = draft.address or int(address["address"], 16)
        rest = rest[address.end() :].strip() or rest
    place = _PLACE.search(rest[:1200])
    decoded = None if place else _DECODED.search(rest[:1200])
    if draft.location is None and place:
        draft.location = _location(place)
    elif draft.location is None and decoded:
        draft.location = Location(
            decoded["function"], 0, 0, decoded["module"] or "", None, True, decoded["source"]
        )
    if kind == "NIP" and "LR" in rest:
        processor_state.read(draft, text)
    return True


_LINK = re.compile(
    r"(?:lr|LR|ra|RA)\b {0,4}:? {0,4}(?:is at )?(?:\[?<?[0-9a-f]{8,16}>?\]? {0,4})?[A-Za-z_.]"
)


def _read_link(draft: ReportDraft, text: str) -> bool:
    """Pass over the line of the link register, whose place the trace repeats."""
    if _LINK.match(text) is None:
        return False
    if not draft.machine and text.startswith("LR is at"):
        draft.machine = "arm"
    return True


# Code


_NO_CODE = re.compile(
    r"Code: {1,4}(?:Unable to access opcode bytes at|Bad RIP value)(?: RIP)? "
    r"?(?:0x(?P<at>[0-9a-f]{1,16}))?"
)
# show_opcodes prints 42 bytes before the instruction pointer (PROLOGUE_SIZE).
_PROLOGUE_SIZE = 42


def _read_code(draft: ReportDraft, text: str) -> bool:
    if match := _NO_CODE.match(text):
        if match["at"] and draft.code_address is None:
            draft.code_address = int(match["at"], 16) + _PROLOGUE_SIZE
        return True
    return draft.code_lines.take(text)


def _read_state(draft: ReportDraft, text: str) -> bool:
    return processor_state.read(draft, text)


def _read_hardware(draft: ReportDraft, text: str) -> bool:
    if not text.startswith(("Hardware name: ", "Hardware: ")):
        return False
    draft.hardware = text.partition(": ")[2].strip()
    return True


_READERS = (
    _read_task,
    _read_modules,
    _read_counter,
    _read_link,
    _read_code,
    _read_hardware,
    _read_state,
    _read_trace,
)

# Sentences


_DULL = re.compile(
    r"-{3,60}\[|={5}|PGD |P4D |FS: |CS: |GS: |DR\d: |PKRU: |Tainted:|Stack: ?$|Stack:? ?\(|RSP: |"
    r"Mem abort info|Data abort info|swapper pgtable|user pgtable|\[[0-9a-f]{8,16}\] |pgd = |"
    r"Instruction dump|Call Trace|LE |BE |REGS: |MSR: |Sending NMI|NMI backtrace|Process |Flags: |"
    r"Control: |Register r\d|note: |Exception stack|Kernel Offset|\"echo 0 >|task:|Workqueue: |"
    r"Memory state around|[> ]?ffff[0-9a-f]{8,12}: |\^|Last Breaking|SET = |EC = |FSC = |ISV = |"
    r"CM = |GCS = |EA = |nr_|flags: |raw: |page dumped|head: |page:|page: |t=|\(t=|\d{1,4}-\.\.\.|"
    r"<[A-Z]{3,4}>|R:\d T:|Krnl |AS:|Supervisor|Modules linked|irq event stamp|hardirqs |softirqs |"
    r"RBP: |Hi |Lo |Status|PrId|Cause|\$ {0,2}\d"
)
# What is said after the trace, and explains.
_TELLING = re.compile(
    r"The buggy address|which belongs to|located \d|\d{1,10} bytes (?:inside|to the)|"
    r"KASAN: |kfence-#|stuck for|stall|index \S{1,40} is out of range|"
    r"shift exponent|list_(?:add|del)|refcount_t|Kernel panic|panicked at|usercopy|"
    r"value changed|Bytes .{1,60} are uninitialized|"
    r"Possible unsafe locking scenario|is trying to acquire lock|but task is already holding"
)


def _read_detail(draft: ReportDraft, text: str) -> None:
    """Keep lines that say something in words."""
    _read_named_task(draft, text)
    if len(draft.details) >= _MAX_DETAILS or _DULL.match(text):
        return
    early = not draft.trace and not draft.release
    if early or _TELLING.search(text[:400]):
        draft.details.append(text)
