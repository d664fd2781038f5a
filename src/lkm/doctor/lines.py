"""The text of each line of a log or a paste, without what stood in front of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lkm.doctor.prefixes import strip

MAX_LINES = 5_000_000
"""A log longer than this is read to here; nothing in it needs more."""
MAX_LINE = 8192
"""Of a longer line this much is read: the kernel's own end at 1024 bytes."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: its number from 1, its text without prefix, seconds since boot where given.

    ``speaker`` is the program a journal names, ``caller`` the task or processor
    (CONFIG_PRINTK_CALLER), ``stamped`` whether a time or the like stood before it.
    """

    number: int
    text: str
    time: float | None = None
    speaker: str = ""
    caller: str = ""
    stamped: bool = False


def read(log: str | Iterable[str]) -> Iterator[LogLine]:
    """Return the lines of a log in any of the usual forms, one at a time.

    ``log`` is a text, or its lines. Escaped newlines (``\\x0a``), with which /dev/kmsg keeps a
    message of several lines together, become lines of their own with the same number. Lines that a
    mail program wrapped are whole again.
    """
    held: LogLine | None = None
    width = 0
    for number, raw in enumerate(_raw_lines(log), 1):
        if number > MAX_LINES:
            break
        head, text = strip(raw)
        if not head.stamped and held and (joined := _unwrapped(held, width, text)) is not None:
            held, width = joined, max(width, len(raw)) if len(joined.text) < MAX_LINE else 0
            continue
        if held is not None:
            yield from _parts(held)
        held = LogLine(number, text, head.time, head.speaker, head.caller, head.stamped)
        width = len(raw)
    if held is not None:
        yield from _parts(held)


def _raw_lines(log: str | Iterable[str]) -> Iterator[str]:
    if not isinstance(log, str):
        yield from (line[:MAX_LINE] for line in log)
        return
    start = 0
    while start < len(log):
        end = log.find("\n", start)
        end = len(log) if end < 0 else end
        yield log[start : min(end, start + MAX_LINE)]
        start = end + 1


def _parts(line: LogLine) -> Iterator[LogLine]:
    if "\\x0a" not in line.text and "#012" not in line.text:
        yield line if line.text[-1:] != " " else replace(line, text=line.text.rstrip())
        return
    for part in line.text.replace("#012", "\\x0a").split("\\x0a"):
        yield replace(line, text=part.rstrip())


# Lines that mail programs wrap: how they begin, and what shows that one is whole.
_CPU = re.compile(r"\s{0,40}CPU: \d{1,5} ")
_HAS_RELEASE = re.compile(r"(?:Tainted: |Not tainted )[^\d]{0,80}\d{1,3}\.\d")
_HEX_WORDS = re.compile(r"(?:\s{0,8}[<(]?[0-9a-f]{2,8}[>)]?)+\s*")
_MODULE_WORDS = re.compile(r"(?:\s{0,8}[A-Za-z0-9_]+(?:\([A-Z+-]*\))?)+\s*(?:\[last unloaded:.*)?")
_OPEN = re.compile(
    r"(?:(?:address|at|symbol|should be|by|for|in|of|from|parameter|kernel|directory|namespace|"
    r"blocked for more than|insert|module|Tainted|Name|name)[:,]?|:|,)\s*$"
)
_NARROWEST, _WIDEST = 40, 100


def _unwrapped(line: LogLine, width: int, text: str) -> LogLine | None:
    """Return ``line`` with the next one's ``text`` at its end, if that was cut off from it."""
    if not text.strip() or width > _WIDEST or not width:
        return None
    before, after = line.text, text.strip()
    # printk continues a list of modules by itself; a mail program wraps these lines anywhere.
    wraps = (
        (before.lstrip().startswith("Code: ") and _HEX_WORDS.fullmatch(after))
        or (_CPU.match(before) and not _HAS_RELEASE.search(before) and ":" not in after[:12])
        or (before.lstrip().startswith("Modules linked in:") and _MODULE_WORDS.fullmatch(after)
            and width >= _NARROWEST)
        or _is_quotation(before, after)
        or (width >= _NARROWEST and line.stamped and _OPEN.search(before) is not None)
        or (width >= _NARROWEST and before.endswith("address:") and _HEX_WORDS.fullmatch(after))
    )  # fmt: skip
    if not wraps:
        return None
    return replace(line, text=f"{before.rstrip()} {after}")


def _is_quotation(before: str, after: str) -> bool:
    """Whether a version magic goes on in the next line."""
    if "version magic '" not in before:
        return False
    return before.count("'") in (1, 2, 3) and "'" in after and ":" not in after
