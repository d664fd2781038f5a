"""The host's end of the guest's modprobe: hands over what the resolver says."""

from __future__ import annotations

import select
import socket
import time
from dataclasses import astuple

from lkm.errors import FormatError
from lkm.kernel.guest import wire
from lkm.kernel.requests import RequestDesk
from lkm.kernel.vm import replies
from lkm.kernel.vm.output import Output

_LIMIT = 30.0  # seconds for one message, of a guest that died in the middle of it


class HostModprobe:
    """Answers what the guest's kernel asks for, and remembers the requests.

    Nobody waits for them all the time: they are answered while one of our own requests is under
    way, for it is that which makes a kernel ask.
    """

    def __init__(self, channel: socket.socket, guest: str) -> None:
        self.desk = RequestDesk()
        self._guest = guest
        self._channel: socket.socket | None = channel
        self._handed_out: dict[int, int] = {}

    def wait_for(self, agent: socket.socket, deadline: float, *others: Output) -> None:
        """Answer requests until ``agent`` can be read; TimeoutError at the ``deadline``.

        ``others`` are read meanwhile, lest the guest wait for it.
        """
        while True:
            seconds = deadline - time.monotonic()
            ready = self._readable(max(seconds, 0), agent, *others)
            if not ready and seconds <= 0:
                raise TimeoutError
            for output in others:
                if output.fileno() in ready:
                    output.drain()
            if agent.fileno() in ready:
                return
            if self._channel and self._channel.fileno() in ready:
                self._serve(deadline)

    def answer_waiting(self, deadline: float) -> None:
        """Answer what has been asked already; a guest that goes on asking is left to wait."""
        for _ in range(self.desk.limits.requests):
            if not self._readable(0):
                return
            self._serve(deadline)

    def _readable(self, seconds: float, *others: socket.socket | Output) -> list[int]:
        poll = select.poll()
        for channel in (self._channel, *others):
            if channel and channel.fileno() >= 0:
                poll.register(channel.fileno(), select.POLLIN)
        return [descriptor for descriptor, _ in poll.poll(seconds * 1000)]

    def _serve(self, deadline: float) -> None:
        deadline = min(deadline, time.monotonic() + _LIMIT)
        try:
            message = replies.receive(
                lambda count: self._read_exactly(count, deadline), self._guest
            )
        except ConnectionResetError:
            self._channel = None  # the machine went down: its agent's channel tells more
            return
        argv, number, results = replies.modprobe_message(message, self._guest)
        if number < 0:
            self._answer(argv, deadline)
        else:
            self._note(number, results)

    def _answer(self, argv: list[str], deadline: float) -> None:
        request = self.desk.take(argv)
        number = len(self.desk.requests) + self.desk.ignored - 1
        modules = [astuple(module) for module in self.desk.answer(request)]
        if modules:
            self._handed_out[number] = len(modules)
        if self._channel:
            self._channel.settimeout(max(deadline - time.monotonic(), 0.001))
            self._channel.sendall(wire.encode([number, modules]))

    def _note(self, number: int, results: list[tuple[str, int]]) -> None:
        """Take note of results: once for each request that was given modules."""
        if len(results) > self._handed_out.pop(number, 0):
            found = f"{len(results)} of request {number}"
            raise FormatError("the results of a request", found, path=self._guest)
        self.desk.requests[number].loaded += results

    def _read_exactly(self, count: int, deadline: float) -> bytes:
        assert self._channel
        return read_exactly(self._channel, count, deadline)


def read_exactly(channel: socket.socket, count: int, deadline: float) -> bytes:
    """Read ``count`` bytes; TimeoutError at the deadline, ConnectionResetError at the end."""
    data = bytearray()
    while len(data) < count:
        channel.settimeout(max(deadline - time.monotonic(), 0.001))
        piece = channel.recv(min(count - len(data), 1 << 20))
        if not piece:
            raise ConnectionResetError
        data += piece
    return bytes(data)
