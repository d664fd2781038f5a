"""A running guest: requests to its agent with a time limit, and what to say when it died."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

from lkm.errors import FormatError, KernelDiedError, LkmError, ToolError
from lkm.kernel.guest import wire
from lkm.kernel.vm.modprobe import Modprobe
from lkm.kernel.vm.process import QemuProcess

REQUEST_LIMIT = 60.0
"""Seconds that a request may take, unless told otherwise."""

_LAST_LINES = 200  # an oops with its registers and trace has about 80
_WORDS_SECONDS = 2.0


class Connection:
    """Requests to the agent of one QEMU process; the first failure ends the machine."""

    def __init__(self, process: QemuProcess) -> None:
        self.process = process
        self.modprobe = Modprobe(process.modprobe)
        self._last_words: KernelDiedError | None = None

    def request(
        self, call: str, *arguments: Any, limit: float | None = None, **keywords: Any
    ) -> Any:
        """Have the agent make one call and return its value.

        Raises OSError with the guest's errno, KernelDiedError when the guest panicked, went away
        or did not answer within ``limit`` seconds.
        """
        if self._last_words is not None:
            raise self._last_words
        deadline = time.monotonic() + (limit or REQUEST_LIMIT)
        try:
            self._send(wire.encode([call, arguments, keywords]), deadline)
            answer = wire.receive(lambda count: self._read_exactly(count, deadline))
            self.modprobe.answer_waiting()
        except TimeoutError:
            raise self._died(call, "the kernel does not answer", hung=True) from None
        except (OSError, FormatError) as error:
            raise self._died(call, self._reason(error)) from None
        return value_of(call, answer)

    def _send(self, data: bytes, deadline: float) -> None:
        self.process.agent.settimeout(max(deadline - time.monotonic(), 0.001))
        self.process.agent.sendall(data)

    def _read_exactly(self, count: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            self.modprobe.wait_for(self.process.agent, max(deadline - time.monotonic(), 0.001))
            piece = self.process.agent.recv(min(count - len(data), 1 << 20))
            if not piece:
                raise ConnectionResetError
            data += piece
        return bytes(data)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, FormatError):
            return f"the channel to the guest is broken: {error}"
        self.process.wait(_WORDS_SECONDS)
        if "Kernel panic" in self.process.console():
            return "the kernel panicked"
        messages = self.process.messages().strip()
        return f"the virtual machine ended: {messages}" if messages else "the machine went down"

    def _died(self, call: str, reason: str, *, hung: bool = False) -> KernelDiedError:
        if hung:
            self._provoke_trace()
        lines = last_lines(self.process.console())
        self._last_words = KernelDiedError(call, reason, log=lines)
        self.process.end()
        return self._last_words

    def _provoke_trace(self) -> None:
        """Send an NMI, at which the kernel panics and shows what it was doing."""
        with contextlib.suppress(LkmError, OSError):
            self.process.qmp.execute("inject-nmi")
            self.process.wait(_WORDS_SECONDS)

    def close(self) -> None:
        """End the machine."""
        self._last_words = self._last_words or KernelDiedError(
            "using a machine", "it was shut down"
        )
        with contextlib.suppress(OSError):
            self.process.agent.shutdown(socket.SHUT_RDWR)
        self.process.end()


def value_of(call: str, answer: Any) -> Any:
    """Return what an answer of the agent carries, or raise what it tells of."""
    if not isinstance(answer, dict):
        raise FormatError("an answer", repr(answer)[:40], path="the channel")
    if "value" in answer:
        return answer["value"]
    if "failure" in answer:
        raise ToolError(f"the guest's agent failed in {call}", output=str(answer["failure"]))
    number = int(answer.get("errno", 0))
    raise OSError(number, os.strerror(number), answer.get("file") or None)


def last_lines(console: str) -> Sequence[str]:
    """Return the end of a console, without control characters and firmware's noise."""
    lines = [line.rstrip().replace("\t", "    ") for line in console.split("\n")]
    return [line for line in lines if line.isprintable() and line][-_LAST_LINES:]
