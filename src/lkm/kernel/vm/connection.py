"""A running guest: requests to its agent with a time limit, and what to say when it died."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from typing import Any

from lkm.errors import FormatError, KernelDiedError, LkmError
from lkm.kernel.guest import wire
from lkm.kernel.vm import replies
from lkm.kernel.vm.modprobe import HostModprobe
from lkm.kernel.vm.process import QemuProcess

REQUEST_LIMIT = 60.0
"""Seconds that a request may take, unless told otherwise."""

_LAST_LINES = 200  # an oops with its registers and trace has about 80
_LAST_TEXT = 1 << 20
_WORDS_SECONDS = 2.0
_PIECE = 1 << 20


class Connection:
    """Requests to the agent of one QEMU process; the first failure ends the machine.

    ``guest`` is what the machine is called in messages. ``deadline``, by the monotonic clock, is
    when all requests together must have been answered (``None``: each has its own limit).
    """

    def __init__(self, process: QemuProcess, guest: str = "the guest") -> None:
        self.process = process
        self.guest = guest
        self.deadline: float | None = None
        self.modprobe = HostModprobe(process.modprobe, guest)
        self._last_words: KernelDiedError | None = None

    def request(
        self, call: str, *arguments: Any, limit: float | None = None, **keywords: Any
    ) -> Any:
        """Have the agent make one call and return its value.

        Raises OSError with the guest's errno, KernelDiedError when the guest panicked, went away
        or did not answer within ``limit`` seconds, FormatError when it answered with what is no
        answer: that is the end of the machine too.
        """
        if self._last_words is not None:
            raise self._last_words
        deadline = time.monotonic() + (limit or REQUEST_LIMIT)
        if self.deadline is not None:
            deadline = min(deadline, self.deadline)
        try:
            self._send(wire.encode([call, arguments, keywords]), deadline)
            answer = replies.receive(lambda count: self._read_exactly(count, deadline), self.guest)
            self.modprobe.answer_waiting(deadline)
        except TimeoutError:
            raise self._died(call, self._overdue(), hung=True) from None
        except FormatError as error:
            raise self._broken(call, error) from None
        except OSError:
            raise self._died(call, self._reason()) from None
        except BaseException:  # Ctrl-C: the answer would be taken for that to the next request
            self._last_words = KernelDiedError(call, "it was interrupted")
            self.process.end()
            raise
        try:
            return self.value_of(call, answer)
        except FormatError as error:
            raise self._broken(call, error) from None

    def value_of(self, call: str, answer: Any) -> Any:
        """See :func:`lkm.kernel.vm.replies.value_of`."""
        return replies.value_of(call, answer, self.guest)

    def _send(self, data: bytes, deadline: float) -> None:
        agent = self.process.agent
        for start in range(0, len(data), _PIECE):
            agent.settimeout(max(deadline - time.monotonic(), 0.001))
            agent.sendall(data[start : start + _PIECE])
            self.process.console.drain()

    def _read_exactly(self, count: int, deadline: float) -> bytes:
        data = bytearray()
        agent = self.process.agent
        while len(data) < count:
            self.modprobe.wait_for(agent, deadline, self.process.console)
            piece = agent.recv(min(count - len(data), _PIECE))
            if not piece:
                raise ConnectionResetError
            data += piece
        return bytes(data)

    def _overdue(self) -> str:
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return "the time limit is over, and the kernel has not answered"
        return "the kernel does not answer"

    def _reason(self) -> str:
        self.process.wait(_WORDS_SECONDS)
        if "Kernel panic" in self.process.console.text():
            return "the kernel panicked"
        messages = self.process.messages().strip()
        return f"the virtual machine ended: {messages}" if messages else "the machine went down"

    def _broken(self, call: str, error: FormatError) -> FormatError:
        """End the machine: what it says next would be taken for the answer to something else."""
        self._died(call, f"an answer of it was none: {error}")
        return error

    def _died(self, call: str, reason: str, *, hung: bool = False) -> KernelDiedError:
        if hung:
            self._provoke_trace()
        lines = last_lines(self.process.console.text())
        self._last_words = KernelDiedError(call, reason, log=lines)
        self.process.end()
        return self._last_words

    def _provoke_trace(self) -> None:
        """Send an NMI, at which the kernel panics and shows what it was doing."""
        with contextlib.suppress(LkmError, OSError):
            self.process.qmp.execute("inject-nmi")
            self.process.wait(_WORDS_SECONDS)

    @property
    def dead(self) -> bool:
        """Whether the machine has ended."""
        return self._last_words is not None

    def close(self) -> None:
        """End the machine."""
        self._last_words = self._last_words or KernelDiedError(
            "using a machine", "it was shut down"
        )
        with contextlib.suppress(OSError):
            self.process.agent.shutdown(socket.SHUT_RDWR)
        self.process.end()


def last_lines(console: str) -> Sequence[str]:
    """Return the end of a console, without control characters and firmware's noise."""
    lines = [line.rstrip().replace("\t", "    ") for line in console[-_LAST_TEXT:].split("\n")]
    return [line for line in lines if line.isprintable() and line][-_LAST_LINES:]
