"""The kernel's own text of each log line, without the prefixes of log daemons and consoles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_LINES = 2_000_000
"""A log longer than this is read to here; nothing in it needs more."""

# Each is tried once, in this order: a syslog or journal head, a /dev/kmsg record's head, the
# level, the time since boot, the task or processor (CONFIG_PRINTK_CALLER).
_HEADS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ][\d:.,+Z-]+) \S+ kernel: ?",
        r"\d{1,4},\d+,(?P<usec>\d+),[^;]{1,80};",
        r"(?:kern  *:(?P<level>\w+) *: )",
        r"<(?P<prio>\d{1,3})>",
        r"\[ *(?P<time>\d+\.\d+|[A-Z][a-z]{2} [A-Z][a-z]{2} [\d :]+)\] ?",
        r"\[ *[TC]\d+\] ?",
    )
)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: its number from 1, its text without prefix, seconds since boot where given."""

    number: int
    text: str
    time: float | None = None


def read(text: str) -> Iterator[LogLine]:
    """Return the lines of a kernel log in any of the usual forms (dmesg, journal, console, kmsg).

    Escaped newlines (``\\x0a``), with which /dev/kmsg keeps a message of several lines together,
    become lines of their own with the same number.
    """
    for number, raw in enumerate(text.splitlines()[:MAX_LINES], 1):
        time, rest = _strip(raw.rstrip())
        for part in rest.split("\\x0a"):
            yield LogLine(number, part, time)


def texts(lines: Iterable[str]) -> Iterator[LogLine]:
    """Return ``lines``, each perhaps with a prefix, as ``LogLine``."""
    return read("\n".join(lines))


def _strip(raw: str) -> tuple[float | None, str]:
    time: float | None = None
    rest = raw.lstrip()
    stripped = False
    for head in _HEADS:
        match = head.match(rest)
        if match is None:
            continue
        stripped = True
        found = match.groupdict()
        if found.get("usec"):
            time = int(found["usec"]) / 1e6
        elif found.get("time") and found["time"][0].isdigit():
            time = float(found["time"])
        rest = rest[match.end() :]
    return time, rest if stripped else raw
