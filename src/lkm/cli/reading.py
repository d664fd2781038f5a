"""Read a command's input from a file or from standard input."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator
from typing import BinaryIO

MAX_LOG_BYTES = 256 << 20
"""Of a longer log the end is read: what failed last is there."""
_MAX_LINE = 64 << 10


def log_lines(name: str) -> Iterator[str]:
    """Return the lines of the file ``name``, or of standard input for ``-``, one at a time.

    Any bytes will do; of a line longer than 64 KiB the beginning is read. UTF-16, as PowerShell
    writes, is recognised by its byte order mark.
    """
    if name == "-":
        yield from _lines(sys.stdin.buffer)
        return
    with open(name, "rb") as file:
        if file.seekable():
            size = file.seek(0, io.SEEK_END)
            file.seek(max(size - MAX_LOG_BYTES, 0))
        yield from _lines(file)


def _lines(file: BinaryIO) -> Iterator[str]:
    first = file.readline(_MAX_LINE)
    encoding = "utf-8"
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield from io.TextIOWrapper(
            io.BytesIO(first + file.read(MAX_LOG_BYTES)), "utf-16", "replace"
        )
        return
    line = first
    while line:
        yield line.decode(encoding, "replace")
        while line and not line.endswith(b"\n"):
            line = file.readline(_MAX_LINE)
        line = file.readline(_MAX_LINE)


def read_log(name: str) -> str:
    """Return the text of the file ``name``, or of standard input for ``-``; any bytes will do."""
    return "".join(log_lines(name))
