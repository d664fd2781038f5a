"""Whatever a guest answers ends in a value of the right type or an error that names the guest."""

from __future__ import annotations

import contextlib
import io
import random
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from lkm.errors import FormatError, KernelDiedError, LkmError
from lkm.kernel.guest import wire
from lkm.kernel.guest.interface import REQUEST, RESULTS
from lkm.kernel.requests import Insertion
from lkm.kernel.vm import replies
from lkm.kernel.vm.connection import Connection
from lkm.kernel.vm.machine import VirtualMachine
from lkm.kernel.vm.output import Output
from lkm.kernel.vm.process import QemuProcess
from lkm.kernel.vm.profile import Profile
from tests.support.hostile_guest import CALLS, ODD_VALUES, GuestProcess, odd_reply

GUEST = "vm:6.1.0-1-amd64"


@pytest.fixture
def process() -> Iterator[GuestProcess]:
    made = GuestProcess()
    yield made
    made.close()


def connection(process: GuestProcess) -> Connection:
    return Connection(cast(QemuProcess, process), GUEST)


@pytest.mark.parametrize("call", sorted(CALLS))
def test_odd_replies(call: str) -> None:
    chance = random.Random(call)
    for value in ODD_VALUES:
        answer = {"value": value}
        try:
            replies.value_of(call, answer, GUEST)
        except FormatError as error:
            assert str(error).startswith(GUEST)  # noqa: PT017 - either outcome is right
    for _ in range(200):
        with pytest.raises((LkmError, OSError)):
            replies.value_of(call, odd_reply(chance), GUEST)


def test_a_broken_channel_ends_the_machine(process: GuestProcess) -> None:
    guest = connection(process)
    process.agent_end.sendall(wire.encode({"value": "no number"}))
    with pytest.raises(FormatError, match=GUEST):
        guest.request("open", "/", 0, 0)
    with pytest.raises(KernelDiedError):
        guest.request("open", "/", 0, 0)
    assert process.ended


@pytest.mark.parametrize(
    "header", [(1 << 31, 0), (2, 1 << 31), (replies.MOST_TEXT + 1, 0), (2, replies.MOST_BYTES + 1)]
)
def test_a_huge_reply_is_not_read(process: GuestProcess, header: tuple[int, int]) -> None:
    process.agent_end.sendall(wire.HEADER.pack(*header))
    with pytest.raises(FormatError, match=GUEST):
        connection(process).request("read", 3, 4)


def test_pieces_that_overlap_are_refused() -> None:
    text = b'[{"bytes": [0, 4]}, {"bytes": [0, 4]}]'
    message = wire.HEADER.pack(len(text), 4) + text + b"abcd"
    with pytest.raises(FormatError):
        wire.receive(io.BytesIO(message).read)


def test_an_endless_reply_meets_the_deadline(process: GuestProcess) -> None:
    guest = connection(process)
    guest.deadline = time.monotonic() + 0.5
    stop = threading.Event()

    def trickle() -> None:
        process.agent_end.sendall(wire.HEADER.pack(1000, 0))
        while not stop.wait(0.05):
            process.agent_end.sendall(b" ")

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        with pytest.raises(KernelDiedError, match="time limit"):
            guest.request("read", 3, 4)
    finally:
        stop.set()
        thread.join()


def test_a_flood_of_requests_meets_the_deadline(process: GuestProcess) -> None:
    guest = connection(process)
    guest.deadline = time.monotonic() + 1
    stop = threading.Event()

    def flood() -> None:
        process.modprobe_end.settimeout(0.2)
        with contextlib.suppress(OSError):
            while not stop.is_set():
                process.modprobe_end.sendall(wire.encode([REQUEST, ["/sbin/modprobe", "--", "x"]]))
                process.modprobe_end.recv(1 << 16)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        with pytest.raises(KernelDiedError):
            guest.request("read", 3, 4)
    finally:
        stop.set()
        thread.join()
    desk = guest.modprobe.desk
    assert len(desk.requests) <= desk.limits.requests


@pytest.mark.parametrize(
    "message",
    [
        [REQUEST],
        [REQUEST, "name"],
        [REQUEST, [1]],
        [RESULTS, 0, [["x", 0]]],
        [RESULTS, -1, []],
        [RESULTS, 5, [["x", "y"]]],
        [RESULTS, 1 << 80, []],
        ["else"],
        {"value": 1},
        17,
    ],
)
def test_odd_words_of_modprobe(process: GuestProcess, message: Any) -> None:
    guest = connection(process)
    process.modprobe_end.sendall(wire.encode(message))
    process.agent_end.sendall(wire.encode({"value": 1}))
    with pytest.raises(FormatError, match=GUEST):
        guest.request("ping")


def test_results_count_once_and_for_what_was_handed_out(process: GuestProcess) -> None:
    guest = connection(process)
    guest.modprobe.desk.provider = lambda name: [Insertion(name, b"\x7fELF")]
    request = [REQUEST, ["/sbin/modprobe", "-q", "--", "x"]]
    for message in (request, [RESULTS, 0, [["x", 0]]]):
        process.modprobe_end.sendall(wire.encode(message))
    process.agent_end.sendall(wire.encode({"value": 1}))
    guest.request("ping")
    assert guest.modprobe.desk.requests[0].loaded == [("x", 0)]
    process.modprobe_end.sendall(wire.encode([RESULTS, 0, [["x", 0]]]))
    process.agent_end.sendall(wire.encode({"value": 1}))
    with pytest.raises(FormatError):
        guest.request("ping")


def test_a_list_of_another_length(process: GuestProcess, tmp_path: Any) -> None:
    machine = VirtualMachine(Profile("6.1.0-1-amd64", tmp_path, None), connection(process))
    process.agent_end.sendall(wire.encode({"value": [{"value": []}] * 3}))
    with pytest.raises(FormatError, match=r"expected 2 answers, found 3"):
        machine.for_each("readdir", ["/a", "/b"])


def test_a_console_keeps_its_beginning_and_its_end() -> None:
    ours, theirs = socket.socketpair()
    output = Output(ours, limit=200_000)
    for number in range(100):
        theirs.sendall(b"%05d" % number * 2000)
        output.drain()
    text = output.text()
    assert text.startswith("00000")
    assert text.endswith("00099")
    assert "bytes left out" in text
    assert len(text) < 300_000
    theirs.close()
    output.close()
