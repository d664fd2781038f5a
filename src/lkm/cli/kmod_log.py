"""Messages as the kmod tools print them: ``modprobe: FATAL: …`` on standard error or to syslog.

Source: kmod's ``tools/log.c``.
"""

from __future__ import annotations

import os
import sys
from enum import IntEnum
from typing import NamedTuple


class Priority(IntEnum):
    """syslog's priorities, as far as the tools use them."""

    SILENT = 0
    FATAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


class Log(NamedTuple):
    """Where a tool's messages go; those above ``threshold`` go nowhere."""

    program: str
    threshold: int = Priority.WARNING
    syslog: bool = False

    def __call__(self, priority: Priority, text: str) -> None:
        """Say ``text``."""
        if priority > self.threshold:
            return
        if self.syslog:
            import syslog  # not on every system, and rarely asked for

            syslog.openlog(self.program, syslog.LOG_CONS, syslog.LOG_DAEMON)
            syslog.syslog(priority, f"{priority.name}: {text}")
            return
        sys.stdout.flush()
        line = f"{self.program}: {priority.name}: {text}\n"
        sys.stderr.buffer.write(os.fsencode(line))
        sys.stderr.flush()
