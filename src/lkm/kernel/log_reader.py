"""Reading a kernel's log through its system calls: /dev/kmsg, or syslog(2) where that is shut."""

from __future__ import annotations

import contextlib
import os

from lkm.kernel.closing import Watch
from lkm.kernel.log import LogRecord, decode, parse_text
from lkm.kernel.syscalls import Syscalls

_KMSG = "/dev/kmsg"
_READ_ALL = 3  # SYSLOG_ACTION_READ_ALL, include/linux/syslog.h
_BUFFER_SIZE = 1 << 22  # larger than any ring buffer a distribution configures


def read_log(syscalls: Syscalls) -> tuple[LogRecord, ...]:
    """Return every record the ring buffer still holds; OSError where the caller may not."""
    try:
        descriptor = syscalls.open(_KMSG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as refused:
        try:
            return _read_by_syslog(syscalls)
        except OSError:
            raise refused from None
    try:
        return decode(syscalls.read_records(descriptor))
    finally:
        syscalls.close(descriptor)


def _read_by_syslog(syscalls: Syscalls) -> tuple[LogRecord, ...]:
    return parse_text(syscalls.syslog(_READ_ALL, _BUFFER_SIZE).decode("utf-8", "replace"))


class LogWatch(Watch):
    """The records that the kernel logs from now on; none where the log may not be read."""

    def __init__(self, syscalls: Syscalls) -> None:
        super().__init__(syscalls)
        self._seen: int | None = None
        self._known_text = 0
        try:
            self._descriptor = syscalls.open(_KMSG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            syscalls.lseek(self._descriptor, 0, os.SEEK_END)
        except OSError:
            with contextlib.suppress(OSError):
                self._known_text = len(_read_by_syslog(syscalls))

    def new_records(self) -> tuple[LogRecord, ...]:
        """Return the records logged since the watch began or was last asked."""
        if self._descriptor is None:
            return self._new_text()
        records = decode(self._syscalls.read_records(self._descriptor), after=self._seen)
        if records:
            self._seen = records[-1].sequence
        return records

    def _new_text(self) -> tuple[LogRecord, ...]:
        try:
            records = _read_by_syslog(self._syscalls)
        except OSError:
            return ()
        new = records[self._known_text :]
        self._known_text = len(records)
        return new
