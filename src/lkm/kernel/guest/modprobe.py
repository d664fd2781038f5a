"""Who answers in a virtual machine when its kernel executes modprobe: its host does.

The kernel is told to execute a program of a few instructions, which asks the process that is
started here and exits with the status it is given. That process passes the request to the host
over a port of its own and loads what comes back. Were it Python, each request would cost a third
of a second.

A ``/sbin/modprobe`` that was put into the guest goes first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

from lkm.kernel.guest import wire
from lkm.kernel.guest.interface import MODPROBE_ADDRESS, MODPROBE_PROGRAM, REQUEST, RESULTS
from lkm.kernel.live import LiveSyscalls
from lkm.kernel.requests import RequestProgress

_KERNEL_SETTING = "/proc/sys/kernel/modprobe"
_REAL = "/sbin/modprobe"
_LOCK = "/lkm/modprobe.lock"
_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid
_HOST_LOST_SECONDS = 5.0


def start(syscalls: LiveSyscalls, port: str) -> None:
    """Start the process that answers, and make the kernel ask it.

    Raises OSError on a kernel without Unix sockets or without requests.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(MODPROBE_ADDRESS)
    listener.listen(64)
    if os.fork() == 0:
        try:
            _Answerer(syscalls, os.open(port, os.O_RDWR | os.O_CLOEXEC)).serve(listener)
        finally:
            os._exit(1)
    listener.close()
    with open(_KERNEL_SETTING, "w", encoding="ascii") as file:
        file.write(MODPROBE_PROGRAM)


class _Answerer:
    """Answers each request in a process of its own: loading a module can lead to the next."""

    def __init__(self, syscalls: LiveSyscalls, port: int) -> None:
        self._syscalls = syscalls
        self._port = port

    def serve(self, listener: socket.socket) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
        while True:
            asking, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                try:
                    asking.send(bytes([self._answer(_arguments_of(asking))]))
                finally:
                    os._exit(0)
            asking.close()

    def _answer(self, argv: list[str]) -> int:
        """Return the exit status for a modprobe that was called with ``argv``."""
        if os.access(_REAL, os.X_OK):
            return os.spawnv(os.P_WAIT, _REAL, [_REAL, *argv[1:]]) & 0xFF
        number, modules = self._ask(argv)
        results: list[tuple[str, int]] = []
        progress = RequestProgress()
        for name, image, parameters, target, required in modules:
            if progress.wants(target):
                outcome = self._syscalls.init_module(image, parameters)
                results.append((name, -outcome.errno or -outcome.signal))
                progress.note(target, required, results[-1][1])
        if results:
            with self._alone():
                self._write_all(wire.encode([RESULTS, number, results]))
        return progress.status

    def _ask(self, argv: list[str]) -> tuple[int, list[tuple[str, bytes, str, str, bool]]]:
        with self._alone():
            self._write_all(wire.encode([REQUEST, argv]))
            number, modules = wire.receive(self._read_exactly)
        return number, modules

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with open(_LOCK, "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read_exactly(self, count: int) -> bytes:
        data = bytearray()
        deadline = time.monotonic() + _HOST_LOST_SECONDS
        while len(data) < count:
            piece = os.read(self._port, min(count - len(data), 1 << 20))
            data += piece
            if not piece:  # nothing is on the other end: for a moment while a snapshot starts
                if time.monotonic() > deadline:
                    raise ConnectionResetError
                time.sleep(0.002)
        return bytes(data)

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._port, view) :]


def _arguments_of(asking: socket.socket) -> list[str]:
    credentials: Any = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    with open(f"/proc/{_PEER.unpack(credentials)[0]}/cmdline", "rb") as file:
        return [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
