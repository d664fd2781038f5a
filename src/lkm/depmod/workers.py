"""Processes that share the work: forked, so that nothing is imported again or sent to them.

One that dies is no loss: what it did not deliver is done by the one that waits for it.
"""

from __future__ import annotations

import marshal
import os

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PLAIN = 2  # the format of marshal that does not look for objects met before


class Forked:
    """A function running in a forked process.

    What it returns, which must be a value that can be marshalled, it leaves in a file in memory,
    so that it never waits for whoever takes it, and announces it through a pipe.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._memory = os.memfd_create("lkm", os.MFD_CLOEXEC)
        self._announced, announce = os.pipe()
        self._process = os.fork()
        if not self._process:
            status = 1
            try:
                rest = memoryview(marshal.dumps(function(), _PLAIN))
                while rest:
                    rest = rest[os.write(self._memory, rest) :]
                os.write(announce, b"\1")
                status = 0
            finally:
                os._exit(status)
        os.close(announce)

    def result(self) -> Any | None:
        """Return what the function does, once it has; ``None`` when the process has died."""
        if not os.read(self._announced, 1):
            return None
        os.lseek(self._memory, 0, os.SEEK_SET)
        with open(self._memory, "rb", buffering=0, closefd=False) as file:
            return marshal.loads(file.read())

    def finish(self) -> None:
        """Wait for the process to end."""
        os.waitpid(self._process, 0)
        os.close(self._announced)
        os.close(self._memory)


def processors() -> int:
    """Return how many processors this process may use, at least one."""
    if not hasattr(os, "memfd_create") or not hasattr(os, "sched_getaffinity"):
        return 1
    return max(len(os.sched_getaffinity(0)), 1)


def are_busy(count: int) -> bool:
    """Say whether other tasks want ``count`` processors right now."""
    try:
        with open("/proc/loadavg", encoding="ascii") as file:
            running = file.read().split()[3].partition("/")[0]
    except OSError:
        return False
    return int(running) > count  # this one is among them
