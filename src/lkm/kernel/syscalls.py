"""The system calls that driving a kernel takes, and what they answer.

Three classes implement ``Syscalls``: the running machine, an agent in a virtual machine, and the
emulated machine. An error is an ``OSError`` with the kernel's errno, as Python's ``os`` raises it;
a kernel that died raises ``KernelDiedError``. Paths are the target kernel's.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

LARGEST_FILE = 64 << 20
"""Bytes of a file that is read as a whole."""

MOST_RECORDS, MOST_RECORD_BYTES = 50_000, 32 << 20
"""Records, and bytes of them, that are read of a log at once."""


@dataclass(frozen=True, slots=True)
class SyscallOutcome:
    """The outcome of a call made in a task of its own: a result, an errno or a signal.

    ``result`` is the system call's non-negative result, ``errno`` the positive error number (0
    for none), ``signal`` the signal that killed the task (9 after an oops, 11 after a BUG).
    """

    result: int = 0
    errno: int = 0
    signal: int = 0

    @property
    def ok(self) -> bool:
        """Whether the call succeeded."""
        return not self.errno and not self.signal


@dataclass(frozen=True, slots=True)
class FileStatus:
    """The part of ``struct stat`` that lkm reads; ``size`` in bytes, ``rdev`` as major, minor."""

    mode: int
    size: int
    uid: int = 0
    gid: int = 0
    rdev: tuple[int, int] = (0, 0)
    mtime_ns: int = 0

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)


@dataclass(frozen=True, slots=True)
class FileReading:
    """What a task of its own read of a file: ``data``, in ``reads`` calls that gave something.

    ``ended``: a read gave nothing, as at the end of a file. ``repeats``: all gave the same bytes,
    fewer than they were asked for. ``errno`` and ``signal`` as in ``SyscallOutcome``.
    """

    data: bytes = b""
    reads: int = 0
    ended: bool = False
    repeats: bool = False
    errno: int = 0
    signal: int = 0


class ReadingCollector:
    """Puts together what reads gave, and says when it is enough."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[bytes] = []
        self._size = 0
        self._same = True

    @property
    def wanted(self) -> int:
        """Bytes to ask for with the next read; 0: no further read."""
        if self._same and len(self._parts) >= _REPEATED_READS:
            return 0
        return 0 if len(self._parts) >= _MOST_READS else self._most - self._size

    def add(self, data: bytes) -> None:
        """Take what a read gave."""
        short = len(data) < self._most - self._size
        self._same = self._same and short and data == (self._parts or [data])[0]
        self._parts.append(data)
        self._size += len(data)

    def result(self, *, ended: bool = False, errno: int = 0, signal: int = 0) -> FileReading:
        """Return it all."""
        reads = len(self._parts)
        repeats = self._same and reads > 1 and not ended
        return FileReading(b"".join(self._parts), reads, ended, repeats, errno, signal)


_REPEATED_READS, _MOST_READS = 64, 4096


class Syscalls(Protocol):
    """One machine's system calls; descriptors are small integers of that machine."""

    @property
    def name(self) -> str:
        """``live``, ``vm:RELEASE`` or ``emulated:RELEASE``."""
        ...

    @property
    def shares_host_files(self) -> bool:
        """Whether the machine's paths are the host's, so that a module can be opened by path."""
        ...

    def limit_time(self, seconds: float | None) -> None:
        """Give up what is not done in so many seconds of wall time from now, all calls together.

        A call that meets the limit raises ``KernelDiedError``; ``None`` takes the limit away.
        """
        ...

    def open(self, path: str, flags: int = 0, mode: int = 0o666) -> int:
        """open(2)."""
        ...

    def close(self, descriptor: int) -> None:
        """close(2)."""
        ...

    def read(self, descriptor: int, size: int = 65536) -> bytes:
        """read(2)."""
        ...

    def read_records(self, descriptor: int, size: int = 8192) -> list[bytes]:
        """Call read(2) until it would block or ends, and return what each call gave.

        This is how /dev/kmsg is read: one record a call. A record lost to the ring buffer (EPIPE)
        is passed over; the gap shows in the sequence numbers. After 32 MiB, or 50,000 records, it
        returns what it has: a log can be written faster than it is read.
        """
        records: list[bytes] = []
        size_read = 0
        while len(records) < MOST_RECORDS and size_read < MOST_RECORD_BYTES:
            try:
                data = self.read(descriptor, size)
            except OSError as error:
                if error.errno == errno.EPIPE:
                    continue
                if error.errno == errno.EAGAIN:
                    return records
                raise
            if not data:
                return records
            records.append(data)
            size_read += len(data)
        return records

    def read_file(self, path: str) -> bytes:
        """Open, read to the end and close: a whole file, in one exchange where that pays.

        A file without end is an OSError: EFBIG after 64 MiB.
        """
        descriptor = self.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            chunks = []
            size = 0
            while chunk := self.read(descriptor):
                chunks.append(chunk)
                size += len(chunk)
                if size > LARGEST_FILE:
                    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
            return b"".join(chunks)
        finally:
            self.close(descriptor)

    def write(self, descriptor: int, data: bytes) -> int:
        """write(2); may write less than it was given."""
        ...

    def lseek(self, descriptor: int, offset: int, whence: int = 0) -> int:
        """lseek(2)."""
        ...

    def ioctl(self, descriptor: int, request: int, argument: int | bytes = 0) -> bytes:
        """ioctl(2); with ``bytes``, the buffer as the kernel left it, else empty."""
        ...

    def stat(self, path: str, *, follow: bool = True) -> FileStatus:
        """stat(2), or lstat(2) when ``follow`` is false."""
        ...

    def readdir(self, path: str) -> list[str]:
        """Names in a directory but ``.`` and ``..``, sorted."""
        ...

    def for_each(self, call: str, paths: Sequence[str]) -> list[Any]:
        """Make one call (``readdir``, ``read_file``, ``stat``) for many paths, in one exchange.

        Where a call failed, its OSError takes the place of its result.
        """
        results: list[Any] = []
        for path in paths:
            try:
                results.append(getattr(self, call)(path))
            except OSError as error:
                results.append(error)
        return results

    def readlink(self, path: str) -> str:
        """readlink(2)."""
        ...

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """mkdir(2)."""
        ...

    def unlink(self, path: str) -> None:
        """unlink(2)."""
        ...

    def mount(
        self, source: str, target: str, filesystem: str, flags: int = 0, data: str = ""
    ) -> None:
        """mount(2)."""
        ...

    def umount(self, target: str, flags: int = 0) -> None:
        """umount2(2)."""
        ...

    def socket(self, family: int, kind: int, protocol: int = 0) -> int:
        """socket(2)."""
        ...

    def bind(self, descriptor: int, address: bytes) -> None:
        """bind(2); ``address`` is the raw ``struct sockaddr``."""
        ...

    def syslog(self, action: int, size: int = 0) -> bytes:
        """syslog(2), for the actions that fill a buffer of ``size`` bytes; ENOSYS where absent."""
        raise OSError(errno.ENOSYS, "syslog")

    def init_module(self, image: bytes, parameters: str) -> SyscallOutcome:
        """init_module(2), in a task of its own, so that an oops costs only that task."""
        ...

    def finit_module(self, descriptor: int, parameters: str, flags: int) -> SyscallOutcome:
        """finit_module(2), in a task of its own."""
        ...

    def delete_module(self, name: str, flags: int) -> SyscallOutcome:
        """delete_module(2), in a task of its own."""
        ...

    def read_in_task(self, path: str, flags: int, most: int) -> FileReading:
        """Open a file and read at most ``most`` bytes of it, in a task of its own."""
        ...

    def write_in_task(self, path: str, flags: int, data: bytes) -> SyscallOutcome:
        """Open a file and write ``data`` to it, in a task of its own."""
        ...

    def let_pass(self, seconds: float) -> None:
        """Let time pass on this machine."""
        time.sleep(seconds)

    def shut_down(self) -> None:
        """Give the machine back: end a virtual machine, free an emulated one, leave a live one."""
        ...
