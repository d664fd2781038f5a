"""Kernel log records: level, facility, sequence number, time, text.

Sources: ``Documentation/ABI/testing/dev-kmsg`` and ``kernel/printk/printk.c``
(info_print_ext_header, msg_add_ext_text, print_prefix).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lkm.errors import FormatError

LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp", "ntp", "audit", "alert", "clock"),
    *(f"local{number}" for number in range(8)),
)

_HEADER = re.compile(rb"(\d{1,10}),(\d{1,20}),(\d{1,20}),([^,;\n]*)((?:,[^;\n]*)?);")
_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")
_LINE = re.compile(
    r"(?:<(?P<priority>\d{1,4})>)?(?:\[ *(?P<seconds>\d{1,10})\.(?P<fraction>\d{6})\]"
    r"(?:\[[^\]\n]{1,40}\])? ?)?(?P<text>.*)"
)


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of the kernel log.

    ``microseconds`` count from boot by the kernel's local clock. ``continuation`` is true for a
    fragment that goes on where the record before it stopped. ``lost`` is how many records the ring
    buffer dropped just before this one. ``tags`` are the ``KEY=value`` pairs that drivers attach.
    """

    text: str
    level: int = 6
    facility: int = 0
    sequence: int = 0
    microseconds: int = 0
    continuation: bool = False
    caller: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    lost: int = 0

    @property
    def level_name(self) -> str:
        """``emerg`` … ``debug``."""
        return LEVELS[self.level]

    @property
    def facility_name(self) -> str:
        """``kern``, ``user``, …; a number where none is assigned."""
        if self.facility < len(FACILITIES):
            return FACILITIES[self.facility]
        return str(self.facility)

    @property
    def seconds(self) -> float:
        """The time in seconds, as dmesg shows it."""
        return self.microseconds / 1e6


def parse_record(data: bytes) -> LogRecord:
    """Decode what one read of /dev/kmsg returned; FormatError for anything else."""
    header = _HEADER.match(data)
    if header is None:
        raise FormatError("a /dev/kmsg record 'PRIO,SEQ,USEC,FLAGS;TEXT'", repr(data[:40]))
    priority, sequence, microseconds = (int(header[group]) for group in (1, 2, 3))
    text, *tag_lines = data[header.end() :].rstrip(b"\n").split(b"\n")
    extras = header[5].decode("ascii", "replace").split(",")
    return LogRecord(
        text=_unescape(text),
        level=priority & 7,
        facility=priority >> 3,
        sequence=sequence,
        microseconds=microseconds,
        continuation=header[4] == b"+",
        caller=next((e.removeprefix("caller=") for e in extras if e.startswith("caller=")), ""),
        tags=tuple(_tags(tag_lines)),
    )


def _tags(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        key, equals, value = line.strip(b" ").partition(b"=")
        if equals:
            yield _unescape(key), _unescape(value)


def _unescape(text: bytes) -> str:
    plain = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), text)
    return plain.decode("utf-8", "replace")


def decode(records: Iterable[bytes], *, after: int | None = None) -> tuple[LogRecord, ...]:
    """Decode records in their order; a gap in the sequence numbers sets ``lost``.

    ``after`` is the sequence number of the last record seen before these, if one was.
    """
    result: list[LogRecord] = []
    for data in records:
        record = parse_record(data)
        gap = 0 if after is None else record.sequence - after - 1
        result.append(replace(record, lost=gap) if gap > 0 else record)
        after = record.sequence
    return tuple(result)


def parse_text(text: str) -> tuple[LogRecord, ...]:
    """Decode the log as syslog(2), dmesg or a serial console print it, one record a line.

    A level (``<6>``) and a time (``[    1.234567]``) are read where they are; sequence numbers
    are the line numbers.
    """
    return tuple(
        _text_record(number, line) for number, line in enumerate(text.splitlines()) if line
    )


def _text_record(number: int, line: str) -> LogRecord:
    match = _LINE.match(line)
    assert match is not None  # every part of the pattern may be empty
    priority = int(match["priority"] or 6)
    seconds, fraction = int(match["seconds"] or 0), int(match["fraction"] or 0)
    return LogRecord(
        text=match["text"],
        level=priority & 7,
        facility=priority >> 3,
        sequence=number,
        microseconds=seconds * 1_000_000 + fraction,
    )
