import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkm.errors import FormatError
from lkm.kernel.log import LogRecord, decode, parse_record, parse_text


def test_record() -> None:
    data = (
        b"12,339,5140900,c,caller=T42;NET: Registered\\x0aPF \\xc3\\xa9\n"
        b" SUBSYSTEM=net\n DEVICE=+a=b\n"
    )
    record = parse_record(data)
    assert record == LogRecord(
        text="NET: Registered\nPF é",
        level=4,
        facility=1,
        sequence=339,
        microseconds=5140900,
        caller="T42",
        tags=(("SUBSYSTEM", "net"), ("DEVICE", "+a=b")),
    )
    assert (record.level_name, record.facility_name, record.seconds) == ("warning", "user", 5.1409)


def test_continuation_and_unknown_facility() -> None:
    assert parse_record(b"6,1,2,+;more\n").continuation
    assert parse_record(b"2046,1,2,-;x\n").facility_name == "255"


def test_gap() -> None:
    records = decode([b"6,5,1,-;a\n", b"6,9,2,-;b\n"], after=2)
    assert [(record.text, record.lost) for record in records] == [("a", 2), ("b", 3)]


def test_text_of_dmesg_and_syslog() -> None:
    records = parse_text(
        "<4>[    1.499145] good: loading\n[   12.5] odd\nplain\n\n[1.000001][  T1] x"
    )
    assert [(r.level, r.microseconds, r.text) for r in records] == [
        (4, 1499145, "good: loading"),
        (6, 0, "[   12.5] odd"),
        (6, 0, "plain"),
        (6, 1000001, "x"),
    ]


@given(st.binary(max_size=80))
def test_hostile_bytes(data: bytes) -> None:
    with contextlib.suppress(FormatError):  # the one answer to what is no record
        assert parse_record(data).level <= 7


@given(st.binary(max_size=40))
def test_any_text_is_kept(text: bytes) -> None:
    record = parse_record(b"6,1,2,-;" + text.replace(b"\n", b" ").replace(b"\\", b"/"))
    assert record.text == text.replace(b"\n", b" ").replace(b"\\", b"/").decode(errors="replace")


@given(st.text(max_size=200))
def test_any_text_parses(text: str) -> None:
    assert len(parse_text(text)) <= len(text.splitlines())


@pytest.mark.parametrize("data", [b"", b"6,1,2,-", b"x,1,2,-;", b"6;text"])
def test_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_record(data)
