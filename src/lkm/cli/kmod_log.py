"""Messages as the kmod tools print them: ``modprobe: FATAL: …`` on standard error or to syslog.

Source: kmod's ``tools/log.c``.
"""

from __future__ import annotations

import os
import sys

from lkm.record import Record


class Priority:
    """syslog's priorities, as far as the tools use them."""

    SILENT = 0
    FATAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


LEVELS = {value: name for name, value in vars(Priority).items() if name.isupper()}
"""What each priority is called."""


class Log(Record):
    """Where a tool's messages go; those above ``threshold`` go nowhere."""

    program: str
    threshold: int = Priority.WARNING
    syslog: bool = False

    def __call__(self, priority: int, text: str) -> None:
        """Say ``text``."""
        if priority > self.threshold:
            return
        level = LEVELS[priority]
        if self.syslog:
            import syslog  # not on every system, and rarely asked for

            syslog.openlog(self.program, syslog.LOG_CONS, syslog.LOG_DAEMON)
            syslog.syslog(priority, f"{level}: {text}")
            return
        sys.stdout.flush()
        line = f"{self.program}: {level}: {text}\n"
        sys.stderr.buffer.write(os.fsencode(line))
        sys.stderr.flush()
