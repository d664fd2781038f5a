"""What stands in front of a message: log daemons, consoles, dmesg, journalctl, mail and terminals.

Formats: journalctl's ``short`` to ``with-unit`` (``src/shared/logs-show.c``), util-linux's dmesg
(``-T``, ``-d``, ``-e``, ``-x``, ``--time-format``), RFC 3164 and 5424, busybox's and OpenWrt's
syslog, Android's logcat, printk's own (``kernel/printk/printk.c: print_prefix``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LineHead:
    """What was taken off a line.

    ``time``: seconds since boot, where it says so. ``speaker``: the program that logged it
    (``kernel`` for the kernel). ``caller``: ``T123`` or ``C1``, the task or processor. ``stamped``:
    whether anything but quoting stood there. ``quoted``: how deep it was quoted.
    """

    time: float | None = None
    speaker: str = ""
    caller: str = ""
    stamped: bool = False
    quoted: int = 0


NO_HEAD = LineHead()

_COLOUR = re.compile(r"(?:\x1b|#033|\^\[|\\x1b|\\033)\[[0-9;?]{0,20}[A-Za-z]")
_TITLE_SEQUENCE = re.compile(r"\x1b\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)?")
_INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200e\u200f\r\x00\x07\x08")) | {0xA0: " "}
_QUOTE = re.compile(r"(?:[>|]{1,8} ?){1,16}")
_NUMBERED = re.compile(r"\d{1,7}[:.|]?[ \t]{1,8}(?=\[ {0,12}\d{1,10}\.\d|<\d{1,3}>\[)")

_CLOCK = r"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"
_DATE = r"\d{4}-\d\d-\d\d"
# What syslog daemons put before the message: host, perhaps facility, program and pid.
_PROGRAM = (
    r"(?:(?P<host>[^\s\[\]]{1,255}) )??(?:[a-z0-9]{1,10}\.[a-z]{1,8} )?"
    r"(?P<program>[^\s:\[\]<>=(]{1,128})(?:\[\d{1,10}\])?: ?"
)
_RFC5424 = (
    r"(?P<host5>\S{1,255}) (?P<program5>\S{1,48}) \S{1,128} \S{1,32} (?:-|\[[^\]]{0,500}\]) ?"
)

_WORD = r"[^\s\[\]<>=(){}'\"]{1,12}"
_HEADS = tuple(
    re.compile(pattern)
    for pattern in (
        # /dev/kmsg and netconsole
        r"\d{1,4},\d{1,20},(?P<usec>\d{1,20}),[^;\s]{1,80};",
        # dmesg -x and -l: facility and level
        r"[a-z]{2,8} {0,6}:[a-z]{3,6} {0,4}: ",
        # a priority, RFC 5424's version behind it
        rf"<\d{{1,4}}>1 {_DATE}T{_CLOCK}\S{{0,6}} {_RFC5424}",
        r"<\d{1,4}>",
        # the time since boot; dmesg -d adds what passed since the line before
        r"\[ {0,12}(?P<time>\d{1,10}\.\d{1,9})(?:, {0,8}\d{1,9})?(?: ?< "
        r"{0,12}\d{1,10}\.\d{1,9}>)?\]",
        r"\[ {0,8}< {0,12}\d{1,10}\.\d{1,9}>\]",
        r"\[ {0,12}[+-]\d{1,10}\.\d{1,9}\]",
        # dmesg -T in any language, dmesg -e, ISO in brackets
        rf"\[(?:{_WORD} {{1,2}}){{1,4}}{_CLOCK}(?: {_WORD}){{0,2}}\]",
        rf"\[{_WORD} {{1,3}}\d{{1,2}} \d\d:\d\d\]",
        rf"\[{_DATE}[T ]{_CLOCK}[^\]\s]{{0,8}}\]",
        # logcat
        rf"\d\d-\d\d {_CLOCK} {{1,8}}\d{{1,8}} {{1,8}}\d{{1,8}} [VDIWEFS] "
        rf"(?P<tag>[^\s:]{{1,64}}) {{0,32}}: ?",
        # ISO 8601 alone, as dmesg --time-format iso, and CI systems
        rf"{_DATE}[T ]\d\d:\d\d:\d\d(?:,\d{{1,9}}|(?P<log>\.\d{{1,9}}|))(?:Z|[+-]\d\d:?\d\d)? "
        rf"{{1,4}}",
        # seconds since 1970, as journalctl -o short-unix
        r"(?P<log>\d{9,10}\.\d{3,9}) {1,4}",
        # short, short-full and OpenWrt's, in any language: words, the clock, perhaps year and zone
        rf"(?:{_WORD} {{1,2}}){{1,4}}(?P<log>{_CLOCK}) {{1,4}}(?:\d{{4}} |[A-Z][A-Z0-9+-]{{1,5}} "
        rf"|[+-]\d\d:?\d\d ){{0,2}}",
    )
)
# What follows a time only.
_AFTER_TIME = tuple(
    re.compile(pattern)
    for pattern in (
        r" ?\[ {0,8}(?P<caller>[TC]\d{1,10})(?:@[TC]\d{1,10})?\] ?",
        r" ?\(\d{1,4}\)\[(?P<task>\d{1,10}):[^\]]{0,32}\] ?",  # MediaTek's
        r" ?\[ {0,4}(?P<cpu>\d{1,4}): {0,20}[^\]:]{1,32}: {0,12}\d{1,10}\] ?",  # Samsung's
    )
)
_SPEAKER = re.compile(_PROGRAM)
_KERNEL = re.compile(
    r"(?:[^\s\[\]:]{1,255} )?(?:kern\.[a-z]{3,8} )?(?P<program>kernel)(?:\[\d{1,10}\])?: ?"
)
_MAX_HEADS = 6
# By far the most lines of a large log: dmesg's, and a syslog file's.
_USUAL = re.compile(
    r"(?P<log>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]{1,64} kernel: )?"
    r"\[ {0,8}(?P<time>\d{1,8}\.\d{6})\] (?![ \[(<]|\S{1,64} kernel|kernel|\S{1,64}\[\d)"
)


def strip(raw: str) -> tuple[LineHead, str]:
    """Return what stood before the message, and the message, its own indentation kept.

    Takes time linear in the first part of the line; every pattern's repetitions are bounded.
    """
    if (usual := _USUAL.match(raw)) and raw.isascii() and raw.isprintable():
        speaker = "kernel" if usual["log"] else ""
        return LineHead(float(usual["time"]), speaker, "", True), _uncoloured(raw[usual.end() :])
    text = _plain(raw)
    if not text:
        return NO_HEAD, text
    quoted = 0
    if text[0] in ">|" and (quote := _QUOTE.match(text)):
        quoted = quote[0].count(">") + quote[0].count("|")
        text = text[quote.end() :]
    if text[:1].isdigit() and (number := _NUMBERED.match(text)):
        text = text[number.end() :]
    return _strip(text, quoted)


def _plain(raw: str) -> str:
    """Return the line without colours and invisible characters."""
    text = raw.rstrip("\n")
    if text.isascii() and text.isprintable():
        return _uncoloured(text)
    if "\x1b" in text:
        text = _TITLE_SEQUENCE.sub("", text)
    return _COLOUR.sub("", text).translate(_INVISIBLE)


def _uncoloured(text: str) -> str:
    """Take out colours that a log daemon wrote in letters."""
    if "#033[" in text or "^[[" in text or "\\x1b[" in text or "\\033[" in text:
        return _COLOUR.sub("", text)
    return text


def _strip(text: str, quoted: int) -> tuple[LineHead, str]:
    found: dict[str, str] = {}
    rest, start = text, text.lstrip()
    stamped = start.startswith(("kernel:", "kernel["))
    for _ in range(_MAX_HEADS):
        match = _program(start, found) if stamped and "program" not in found else None
        match = match or _head(start, after_time=stamped)
        if match is None:
            break
        stamped = True
        found |= {key: value for key, value in match.groupdict().items() if value is not None}
        rest = start[match.end() :]
        rest = rest.removeprefix(" ") if match[0].endswith("]") else rest
        start = rest.lstrip()
    if not found and rest is text:
        return (LineHead(quoted=quoted) if quoted else NO_HEAD), text
    return _head_of(found, quoted), rest


def _head(start: str, *, after_time: bool) -> re.Match[str] | None:
    if after_time and start[:1] in "[(":
        for pattern in _AFTER_TIME:
            if match := pattern.match(start):
                return match
    for pattern in _candidates(start):
        if match := pattern.match(start):
            return match
    return None


_BRACKETED = tuple(p for p in _HEADS if p.pattern.startswith(r"\["))
_PRIORITIES = tuple(p for p in _HEADS if p.pattern.startswith("<"))
_OTHERS = tuple(p for p in _HEADS if p not in _BRACKETED and p not in _PRIORITIES)
_HAS_CLOCK = re.compile(r"[^:]{0,60}?\d:\d\d:\d\d")
_LEVEL = re.compile(r"[a-z]{2,8} {0,6}:[a-z]{3,6} {0,4}:")


def _candidates(start: str) -> tuple[re.Pattern[str], ...]:
    first = start[:1]
    if first == "[":
        return _BRACKETED
    if first == "<":
        return _PRIORITIES
    if first.isdigit() or _HAS_CLOCK.match(start) or _LEVEL.match(start):
        return _OTHERS
    return ()


def _program(start: str, found: dict[str, str]) -> re.Match[str] | None:
    """Match ``host program[pid]:``.

    Behind the time since boot, a host or a program is believed only with a pid or as the kernel:
    there the message itself may begin with two words and a colon.
    """
    if match := _KERNEL.match(start):
        return match
    match = _SPEAKER.match(start)
    if match is None or match["program"] in _MESSAGE_WORDS or match["host"] in _MESSAGE_WORDS:
        return None
    believed = ("log" in found and "time" not in found) or "]:" in match[0]
    return match if believed else None


# Words that look like a program before a colon, and are the message's first instead.
_MESSAGE_WORDS = frozenset((
    "BUG", "Oops", "WARNING", "INFO", "ERROR", "Error", "error", "Warning", "warning", "FATAL",
    "Call", "Code", "Hardware", "CPU", "RIP", "EIP", "RSP", "RAX", "UBSAN", "KASAN", "KCSAN",
    "KFENCE", "KMSAN", "PGD", "CR2", "Modules", "NIP", "LR", "GPR00", "MSR", "CFAR", "Hi", "Lo",
    "epc", "ra", "pc", "lr", "sp", "Status", "Cause", "BadVA", "PrId", "watchdog", "rcu", "NMI",
    "PKCS", "Lockdown",
))  # fmt: skip


def _head_of(found: dict[str, str], quoted: int) -> LineHead:
    time = None
    if "usec" in found:
        time = int(found["usec"]) / 1e6
    elif "time" in found:
        time = float(found["time"])
    caller = found.get("caller", "")
    if not caller and "task" in found:
        caller = f"T{found['task']}"
    elif not caller and "cpu" in found:
        caller = f"C{found['cpu']}"
    speaker = found.get("program") or found.get("program5") or found.get("tag") or ""
    return LineHead(time, speaker, caller, True, quoted)
