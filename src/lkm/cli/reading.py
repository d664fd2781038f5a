"""Read a command's input from a file or from standard input."""

from __future__ import annotations

import sys

MAX_LOG_BYTES = 256 << 20
"""Of a longer log the end is read: what failed last is there."""


def read_log(name: str) -> str:
    """Return the text of the file ``name``, or of standard input for ``-``; any bytes will do."""
    if name == "-":
        data = sys.stdin.buffer.read()
    else:
        with open(name, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - MAX_LOG_BYTES, 0))
            data = file.read()
    return data[-MAX_LOG_BYTES:].decode("utf-8", "replace")
