"""PID 1 of a virtual machine: makes the system calls its host asks for.

This file, :mod:`lkm.kernel.live` and what they import are copied into the guest's initramfs with
the Python interpreter that runs us, and nothing else is: no shell, no C library but the
interpreter's own. The host's end is :mod:`lkm.kernel.vm.machine`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

from lkm.kernel.guest import modprobe as guest_modprobe
from lkm.kernel.guest import wire
from lkm.kernel.guest.interface import AGENT_PORT, MODPROBE_PORT
from lkm.kernel.guest.process import GuestProcess
from lkm.kernel.live import LiveSyscalls

MODULE_LIST = "/lkm/modules.list"
"""What the guest needs to reach its host: one module file a line, in load order."""

_MOUNTS = (
    ("proc", "/proc", "proc"),
    ("sysfs", "/sys", "sysfs"),
    ("devtmpfs", "/dev", "devtmpfs"),
    ("devpts", "/dev/pts", "devpts"),
    ("tmpfs", "/dev/shm", "tmpfs"),
    ("tmpfs", "/tmp", "tmpfs"),
    ("tmpfs", "/run", "tmpfs"),
    ("debugfs", "/sys/kernel/debug", "debugfs"),
    ("tracefs", "/sys/kernel/tracing", "tracefs"),
    ("securityfs", "/sys/kernel/security", "securityfs"),
    ("configfs", "/sys/kernel/config", "configfs"),
)
_HOST_LOST_SECONDS = 5.0
_POWER_OFF = 0x4321FEDC  # LINUX_REBOOT_CMD_POWER_OFF


def main() -> None:
    """Set the guest up and serve; never returns, as PID 1 must not."""
    syscalls = LiveSyscalls()
    _mount_all(syscalls)
    _load_modules(syscalls)
    # From here on the console is the whole log: it is what is left of a guest that dies.
    with contextlib.suppress(OSError), open("/proc/sys/kernel/printk", "w") as file:
        file.write("8")
    with contextlib.suppress(OSError):  # a kernel may be unable to ask
        guest_modprobe.start(syscalls, _find_port(MODPROBE_PORT))
    channel = os.open(_find_port(AGENT_PORT), os.O_RDWR | os.O_CLOEXEC)
    Agent(syscalls, channel).serve()


def _mount_all(syscalls: LiveSyscalls) -> None:
    for source, target, filesystem in _MOUNTS:
        # A kernel may be built without one of them.
        with contextlib.suppress(OSError):
            os.makedirs(target, exist_ok=True)
            syscalls.mount(source, target, filesystem)


def _load_modules(syscalls: LiveSyscalls) -> None:
    with open(MODULE_LIST, encoding="utf-8") as file:
        paths = file.read().split()
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        outcome = syscalls.finit_module(descriptor, "", 0)
        os.close(descriptor)
        os.unlink(path)
        if not outcome.ok:
            print(f"lkm agent: {path}: {outcome}", flush=True)


def _find_port(wanted: str) -> str:
    ports = "/sys/class/virtio-ports"
    while True:
        with contextlib.suppress(OSError):
            for name in os.listdir(ports):
                with open(f"{ports}/{name}/name", encoding="ascii") as file:
                    if file.read().strip() == wanted:
                        return f"/dev/{name}"
        time.sleep(0.002)


class Agent:
    """Answers requests from a channel: ``[CALL, ARGUMENTS, KEYWORDS]``.

    An answer is ``{"value": …}``, ``{"errno": N, "file": …}`` or ``{"failure": TRACEBACK}``.
    """

    def __init__(self, syscalls: LiveSyscalls, channel: int) -> None:
        self._syscalls = syscalls
        self._channel = channel
        self._processes: dict[int, GuestProcess] = {}

    def serve(self) -> None:
        """Answer for ever."""
        while True:
            call, arguments, keywords = wire.receive(self._read_exactly)
            self._write_all(wire.encode(self._answer(call, arguments, keywords)))

    def _answer(self, call: str, arguments: list[Any], keywords: dict[str, Any]) -> dict[str, Any]:
        try:
            value = self._method(call)(*arguments, **keywords)
        except OSError as error:
            return {"errno": error.errno or 0, "file": str(error.filename or "")}
        except Exception:  # a mistake in here must reach the host, not kill PID 1
            return {"failure": traceback.format_exc()}
        return {"value": astuple(value) if hasattr(value, "__dataclass_fields__") else value}

    def _method(self, call: str) -> Callable[..., Any]:
        own: dict[str, Callable[..., Any]] = {
            "ping": os.getpid,
            "put": _put_all,
            "missing": _missing,
            "spawn": self._spawn,
            "exchange": self._exchange,
            "for_each": self._for_each,
            "signal": lambda handle, number: self._processes[handle].signal(number),
        }
        method: Callable[..., Any] = own.get(call) or getattr(self._syscalls, call)
        return method

    def _for_each(self, call: str, paths: list[str]) -> list[dict[str, Any]]:
        return [self._answer(call, [path], {}) for path in paths]

    def _spawn(self, command: list[str], directory: str, terminal: list[int] | None) -> int:
        process = GuestProcess(command, directory, terminal)
        self._processes[process.pid] = process
        return process.pid

    def _exchange(self, handle: int, data: bytes, wait: float) -> tuple[Any, ...]:
        result = self._processes[handle].exchange(data, wait)
        if result[-1] is not None:
            del self._processes[handle]
        return result

    def _read_exactly(self, count: int) -> bytes:
        data = bytearray()
        lost_at: float | None = None
        while len(data) < count:
            piece = os.read(self._channel, min(count - len(data), 1 << 20))
            data += piece
            if piece:
                lost_at = None
                continue
            # Nothing is on the other end: for a moment while a snapshot starts, or for ever.
            now = time.monotonic()
            lost_at = lost_at or now
            if now - lost_at > _HOST_LOST_SECONDS:
                ctypes.CDLL(None).reboot(_POWER_OFF)
            time.sleep(0.002)
        return bytes(data)

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._channel, view) :]


def _missing(paths: list[str]) -> list[str]:
    return [path for path in paths if not os.path.exists(path)]


def _put_all(files: list[tuple[str, bytes, int, int]]) -> None:
    for path, data, mode, mtime_ns in files:
        _put(path, data, mode, mtime_ns)


def _put(path: str, data: bytes, mode: int, mtime_ns: int) -> None:
    os.makedirs(os.path.dirname(path) or "/", exist_ok=True)
    # Renamed into place: emptying a library that is mapped would kill those who use it, us too.
    new = f"{path}.lkm-new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        os.fchmod(descriptor, mode)
    os.utime(new, ns=(mtime_ns, mtime_ns))
    os.replace(new, path)
