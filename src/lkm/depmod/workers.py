"""Processes that share the work: forked, so that nothing is imported again or sent to them.

One that dies is no loss: what it did not deliver is done by the one that waits for it.
"""

from __future__ import annotations

import marshal
import os

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Receive = Callable[[], Any]

_PLAIN = 2  # the format of marshal that does not look for objects met before: twice as fast


class Mailbox:
    """Values on their way from one process to another: in a memory file, announced by a pipe.

    Whoever posts need not wait for whoever takes.
    """

    def __init__(self) -> None:
        self._memory = os.memfd_create("lkm", os.MFD_CLOEXEC)
        self._bell, self._button = os.pipe()
        self._read = self._written = 0

    def post(self, value: Any) -> None:
        """Leave ``value``, which must be one that can be marshalled."""
        rest = memoryview(marshal.dumps(value, _PLAIN))
        size = len(rest)
        while rest:
            count = os.pwrite(self._memory, rest, self._written)
            self._written += count
            rest = rest[count:]
        os.write(self._button, size.to_bytes(8, "little"))

    def take(self) -> Any:
        """Wait for the next value; raises ``EOFError`` when no one is left to post it."""
        announced = os.read(self._bell, 8)
        if len(announced) < 8:
            raise EOFError
        size = int.from_bytes(announced, "little")
        data = os.pread(self._memory, size, self._read)
        self._read += size
        return marshal.loads(data)

    def no_posting(self) -> None:
        """Give up this process's end for posting."""
        os.close(self._button)

    def no_taking(self) -> None:
        """Give up this process's end for taking."""
        os.close(self._bell)

    def forget(self) -> None:
        """Give up what was posted and not taken."""
        os.close(self._memory)


class Forked:
    """A function running in a forked process; it yields values and may be sent some."""

    def __init__(self, function: Callable[[Receive], Iterator[Any]]) -> None:
        self._results, self._orders = Mailbox(), Mailbox()
        self._process = os.fork()
        if not self._process:
            status = 1
            try:
                self._results.no_taking()
                self._orders.no_posting()
                for value in function(self._orders.take):
                    self._results.post(value)
                status = 0
            finally:
                os._exit(status)
        self._results.no_posting()
        self._orders.no_taking()

    def result(self) -> Any | None:
        """Return the next value the function yields; ``None`` when the process has died."""
        try:
            return self._results.take()
        except EOFError:
            return None

    def send(self, value: Any) -> None:
        """Let the function's next ``receive()`` return ``value``."""
        try:
            self._orders.post(value)
        except BrokenPipeError:
            return  # it has died, which the next result will show

    def answers(self, value: Any) -> bool:
        """Send ``value`` and say whether the function yielded something true then."""
        self.send(value)
        return bool(self.result())

    def finish(self) -> None:
        """Wait for the process to end."""
        self._orders.no_posting()
        os.waitpid(self._process, 0)
        self._results.no_taking()
        for mailbox in (self._orders, self._results):
            mailbox.forget()


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
