"""A program run in a terminal of a given width, and all that it wrote there."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence


def in_terminal(command: Sequence[str], columns: int, environment: Mapping[str, str]) -> str:
    """Return what a program writes to a terminal; COLUMNS is not set."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    clean = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=clean
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                chunk = os.read(ours, 1 << 16)
            except OSError:  # EIO: the other end is closed
                break
            if not chunk:
                break
            written += chunk
        process.wait()
    os.close(ours)
    return written.decode()
