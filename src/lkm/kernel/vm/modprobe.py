"""The host's end of the guest's modprobe: hands over what the resolver says."""

from __future__ import annotations

import select
import socket
from dataclasses import astuple
from typing import Any

from lkm.errors import FormatError, LkmError
from lkm.kernel.guest import wire
from lkm.kernel.guest.interface import REQUEST, RESULTS
from lkm.kernel.requests import Insertion, Provider, Request

_LIMIT = 30.0  # seconds for one message, of a guest that died in the middle of it


class Modprobe:
    """Answers what the guest's kernel asks for, and remembers the requests.

    Nobody waits for them all the time: they are answered while one of our own requests is under
    way, for it is that which makes a kernel ask.
    """

    def __init__(self, channel: socket.socket) -> None:
        self.provider: Provider | None = None
        self.requests: list[Request] = []
        self._channel: socket.socket | None = channel
        channel.settimeout(_LIMIT)

    def wait_for(self, agent: socket.socket, seconds: float) -> None:
        """Answer requests until ``agent`` can be read; TimeoutError after ``seconds``."""
        while True:
            ready = self._readable(seconds, agent)
            if not ready:
                raise TimeoutError
            if self._channel and self._channel.fileno() in ready:
                self._serve()
            if agent.fileno() in ready:
                return

    def answer_waiting(self) -> None:
        """Answer what has been asked already."""
        while self._readable(0):
            self._serve()

    def _readable(self, seconds: float, *others: socket.socket) -> list[int]:
        poll = select.poll()
        for channel in (self._channel, *others):
            if channel:
                poll.register(channel, select.POLLIN)
        return [descriptor for descriptor, _ in poll.poll(seconds * 1000)]

    def _serve(self) -> None:
        try:
            kind, *arguments = wire.receive(self._read_exactly)
        except ConnectionResetError:
            self._channel = None  # the machine went down: its agent's channel tells more
            return
        if kind == REQUEST:
            self._answer(*arguments)
        elif kind == RESULTS:
            self._note(*arguments)
        else:
            raise FormatError("a request for a module", repr(kind)[:40], path="the channel")

    def _answer(self, argv: list[str]) -> None:
        request = Request(tuple(argv))
        number = len(self.requests)
        self.requests.append(request)
        modules = [astuple(module) for module in self._wanted(request)]
        if self._channel:
            self._channel.sendall(wire.encode([number, modules]))

    def _wanted(self, request: Request) -> list[Insertion]:
        found: list[Insertion] = []
        try:
            for name in request.names if self.provider else ():
                found += self.provider(name) if self.provider else ()
        except (LkmError, OSError) as error:
            request.error = str(error)
            return []
        return found

    def _note(self, number: int, results: list[Any]) -> None:
        self.requests[number].loaded += [(name, result) for name, result in results]

    def _read_exactly(self, count: int) -> bytes:
        assert self._channel
        data = bytearray()
        while len(data) < count:
            piece = self._channel.recv(min(count - len(data), 1 << 20))
            if not piece:
                raise ConnectionResetError
            data += piece
        return bytes(data)
