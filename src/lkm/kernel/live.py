"""The system calls of the machine this runs on: Python's ``os``, and libc for what ``os`` lacks.

The same code is the hands of the agent in a virtual machine. It therefore imports nothing that
such a guest need not have.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import time
from collections.abc import Callable

from lkm.errors import KernelDiedError
from lkm.kernel.syscalls import (
    FileReading,
    FileStatus,
    ReadingCollector,
    SyscallOutcome,
    Syscalls,
)

# init_module, delete_module, finit_module: arch/*/entry/syscalls/*.tbl and, for the
# architectures not named here, include/uapi/asm-generic/unistd.h.
_MODULE_CALLS = {
    "x86_64": (175, 176, 313),
    "i386": (128, 129, 350),
    "i686": (128, 129, 350),
    "armv7l": (128, 129, 379),
    "ppc64": (128, 129, 353),
    "ppc64le": (128, 129, 353),
    "s390x": (128, 129, 344),
}
_GENERIC_CALLS = (105, 106, 273)
_WRITING = struct.Struct("=qi")
_READING = struct.Struct("=I??i")


class LiveSyscalls(Syscalls):
    """System calls of the running machine; those that change modules run in a child each.

    A module whose init oopses kills the task that loaded it: that is then the child.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        calls = _MODULE_CALLS.get(platform.machine(), _GENERIC_CALLS)
        self._deadline: float | None = None
        self._init_module, self._delete_module, self._finit_module = calls

    @property
    def name(self) -> str:
        """``live``."""
        return "live"

    @property
    def shares_host_files(self) -> bool:
        """True: its files are ours."""
        return True

    def limit_time(self, seconds: float | None) -> None:
        """Give up waiting for a call that changes modules; others take no time."""
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def open(self, path: str, flags: int = 0, mode: int = 0o666) -> int:
        """open(2)."""
        return os.open(path, flags, mode)

    def close(self, descriptor: int) -> None:
        """close(2)."""
        os.close(descriptor)

    def read(self, descriptor: int, size: int = 65536) -> bytes:
        """read(2)."""
        return os.read(descriptor, size)

    def write(self, descriptor: int, data: bytes) -> int:
        """write(2); may write less than it was given."""
        return os.write(descriptor, data)

    def lseek(self, descriptor: int, offset: int, whence: int = 0) -> int:
        """lseek(2)."""
        return os.lseek(descriptor, offset, whence)

    def ioctl(self, descriptor: int, request: int, argument: int | bytes = 0) -> bytes:
        """ioctl(2); with ``bytes``, the buffer as the kernel left it, else empty."""
        answer = fcntl.ioctl(descriptor, request, argument)
        return answer if isinstance(answer, bytes) else b""

    def stat(self, path: str, *, follow: bool = True) -> FileStatus:
        """stat(2), or lstat(2) when ``follow`` is false."""
        status = os.stat(path, follow_symlinks=follow)
        return FileStatus(
            mode=status.st_mode,
            size=status.st_size,
            uid=status.st_uid,
            gid=status.st_gid,
            rdev=(os.major(status.st_rdev), os.minor(status.st_rdev)),
            mtime_ns=status.st_mtime_ns,
        )

    def readdir(self, path: str) -> list[str]:
        """Names in a directory but ``.`` and ``..``, sorted."""
        return sorted(os.listdir(path))

    def readlink(self, path: str) -> str:
        """readlink(2)."""
        return os.readlink(path)

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """mkdir(2)."""
        os.mkdir(path, mode)

    def unlink(self, path: str) -> None:
        """unlink(2)."""
        os.unlink(path)

    def mount(
        self, source: str, target: str, filesystem: str, flags: int = 0, data: str = ""
    ) -> None:
        """mount(2)."""
        texts = [os.fsencode(text) for text in (source, target, filesystem, data)]
        self._check(
            self._libc.mount(
                texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3] if data else None
            ),
            target,
        )

    def umount(self, target: str, flags: int = 0) -> None:
        """umount2(2)."""
        self._check(self._libc.umount2(os.fsencode(target), flags), target)

    def socket(self, family: int, kind: int, protocol: int = 0) -> int:
        """socket(2)."""
        return socket.socket(family, kind, protocol).detach()

    def bind(self, descriptor: int, address: bytes) -> None:
        """bind(2); ``address`` is the raw ``struct sockaddr``."""
        self._check(self._libc.bind(descriptor, address, len(address)), "bind")

    def syslog(self, action: int, size: int = 0) -> bytes:
        """syslog(2), for the actions that fill a buffer of ``size`` bytes."""
        buffer = ctypes.create_string_buffer(size)
        filled = self._libc.klogctl(action, buffer, size)
        self._check(filled, "syslog")
        return buffer.raw[:filled]

    def init_module(self, image: bytes, parameters: str) -> SyscallOutcome:
        """init_module(2), in a child."""
        text = os.fsencode(parameters)
        return self._in_child(
            "init_module", self._init_module, image, ctypes.c_ulong(len(image)), text
        )

    def finit_module(self, descriptor: int, parameters: str, flags: int) -> SyscallOutcome:
        """finit_module(2), in a child."""
        return self._in_child(
            "finit_module", self._finit_module, descriptor, os.fsencode(parameters), flags
        )

    def delete_module(self, name: str, flags: int) -> SyscallOutcome:
        """delete_module(2), in a child."""
        return self._in_child("delete_module", self._delete_module, os.fsencode(name), flags)

    def read_in_task(self, path: str, flags: int, most: int) -> FileReading:
        """Open a file and read at most ``most`` bytes of it, in a child."""

        def reading() -> bytes:
            collector = ReadingCollector(most)
            number, ended = 0, False
            try:
                descriptor = os.open(path, flags)
                while (size := collector.wanted) and not ended:
                    data = os.read(descriptor, size)
                    ended = not data
                    if data:
                        collector.add(data)
            except OSError as error:
                number = error.errno or errno.EIO
            done = collector.result(ended=ended, errno=number)
            return _READING.pack(done.reads, done.ended, done.repeats, number) + done.data

        answer, killer = self._answer(f"reading {path}", reading)
        if len(answer) < _READING.size:
            return FileReading(errno=0 if killer else errno.ECHILD, signal=killer)
        reads, ended, repeats, number = _READING.unpack_from(answer)
        return FileReading(answer[_READING.size :], reads, ended, repeats, number)

    def write_in_task(self, path: str, flags: int, data: bytes) -> SyscallOutcome:
        """Open a file and write to it, in a child."""

        def writing() -> bytes:
            written = 0
            try:
                descriptor = os.open(path, flags)
                while written < len(data) or not data:
                    count = os.write(descriptor, data[written:])
                    written += count
                    if not count:
                        break
                os.close(descriptor)
            except OSError as error:
                return _WRITING.pack(0, error.errno or errno.EIO)
            return _WRITING.pack(written, 0)

        answer, killer = self._answer(f"writing {path}", writing)
        if len(answer) < _WRITING.size:
            return SyscallOutcome(errno=0 if killer else errno.ECHILD, signal=killer)
        return SyscallOutcome(*_WRITING.unpack(answer))

    def shut_down(self) -> None:
        """Nothing: the machine is not ours to end."""

    def _check(self, result: int, what: str) -> None:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), what)

    def _in_child(self, name: str, *call: object) -> SyscallOutcome:
        def system_call() -> tuple[int, int]:
            result: int = self._libc.syscall(*call)
            return (result, 0) if result >= 0 else (0, ctypes.get_errno())

        answer, killer = self._answer(name, lambda: _WRITING.pack(*system_call()))
        if len(answer) < _WRITING.size:
            return SyscallOutcome(errno=0 if killer else errno.ECHILD, signal=killer)
        return SyscallOutcome(*_WRITING.unpack(answer))

    def _answer(self, name: str, work: Callable[[], bytes]) -> tuple[bytes, int]:
        try:
            return answer_of_child(work, self._deadline)
        except TimeoutError:
            raise KernelDiedError(
                name,
                "the time limit is over, and it has not returned",
                hint="the task that made it stays in the kernel until that lets it go",
            ) from None


def run_in_child(
    system_call: Callable[[], tuple[int, int]], deadline: float | None = None
) -> SyscallOutcome:
    """Run ``system_call`` (it returns result and errno) in a fork of this process."""
    answer, killer = answer_of_child(lambda: _WRITING.pack(*system_call()), deadline)
    if len(answer) == _WRITING.size:
        return SyscallOutcome(*_WRITING.unpack(answer))
    return SyscallOutcome(signal=killer) if killer else SyscallOutcome(errno=errno.ECHILD)


def answer_of_child(work: Callable[[], bytes], deadline: float | None = None) -> tuple[bytes, int]:
    """Run ``work`` in a fork of this process; return what it returns, and the signal it died of.

    Raises TimeoutError when it has not returned at the deadline, by the monotonic clock. Then, and
    when we are interrupted, it is killed but not waited for: in the kernel it may never end.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        # Nothing of the parent's may run here: no finally, no atexit, no buffered output.
        try:
            rest = work()
            while rest:
                rest = rest[os.write(writer, rest) :]
        finally:
            os._exit(0)
    os.close(writer)
    try:
        answer = _answer_of(reader, deadline)
        _, status = os.waitpid(child, 0)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, os.WNOHANG)
        raise
    finally:
        os.close(reader)
    return answer, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _answer_of(reader: int, deadline: float | None) -> bytes:
    parts: list[bytes] = []
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while True:
        if deadline is not None and not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
            raise TimeoutError
        part = os.read(reader, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
