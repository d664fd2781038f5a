"""Uevents: the kernel's messages, and whatever else a netlink socket may deliver."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lkm.kernel.uevent import Uevent, parse

MESSAGE = (
    b"add@/devices/virtual/misc/hello\0ACTION=add\0DEVPATH=/devices/virtual/misc/hello\0"
    b"SUBSYSTEM=misc\0MAJOR=10\0MINOR=124\0DEVNAME=hello\0DEVMODE=0666\0SEQNUM=602\0"
)


def test_message_of_the_kernel() -> None:
    event = parse(MESSAGE)
    assert event is not None
    assert (event.action, event.path) == ("add", "/devices/virtual/misc/hello")
    assert (event.get("SUBSYSTEM"), event.get("DEVNAME")) == ("misc", "hello")
    assert event.get("NOTHING") == ""


def test_messages_of_others() -> None:
    assert parse(b"libudev\0\xfe\xed\xca\xfe") is None
    assert parse(b"") is None
    assert parse(b"add@relative") is None


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    found = parse(data)
    assert found is None or isinstance(found, Uevent)


@given(st.data())
def test_cut_short(data: st.DataObject) -> None:
    found = parse(MESSAGE[: data.draw(st.integers(0, len(MESSAGE)))])
    assert found is None or found.action == "add"
