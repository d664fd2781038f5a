"""The DER reader against openssl's, and against bytes that lie about their lengths."""

from __future__ import annotations

import contextlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkm.errors import FormatError
from lkm.signing import der

LIES = {
    "nothing": b"",
    "a tag alone": b"\x30",
    "longer than the data": b"\x30\x05\x02\x01\x01",
    "indefinite": b"\x30\x80\x02\x01\x01\0\0",
    "not the shortest form": b"\x30\x81\x03\x02\x01\x01",
    "leading zero": b"\x30\x82\x00\x81" + bytes(0x81),
    "five length octets": b"\x30\x85\0\0\0\0\1\0",
    "length cut off": b"\x30\x84\xff\xff",
    "four GiB": b"\x30\x84\xff\xff\xff\xff\0",
    "another tag": b"\x31\x00",
}


@pytest.mark.parametrize("data", LIES.values(), ids=LIES)
def test_lies_are_refused_with_their_place(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        der.Reader(data, "a file").enter(der.SEQUENCE, "thing")
    assert str(caught.value).startswith("a file at offset 0x0: expected ")


def test_an_element_may_not_leave_its_parent() -> None:
    outer = der.Reader(b"\x30\x03\x04\x05\x00" + bytes(9)).enter(der.SEQUENCE, "outer")
    with pytest.raises(FormatError, match="at most 1 bytes, found 5"):
        outer.bytes_of(der.OCTET_STRING, "inner")


@pytest.mark.parametrize("oid", ["1.2.840.113549.1.7.2", "2.5.4.3", "2.999.3", "0.9.2342"])
def test_oids_are_openssl_s(oid: str) -> None:
    command = ["openssl", "asn1parse", "-genstr", f"OID:{oid}", "-noout", "-out", "/dev/stdout"]
    encoded = subprocess.run(command, capture_output=True, check=True).stdout
    assert der.encode_oid(oid) == encoded
    assert der.oid_text(der.Reader(encoded).bytes_of(der.OID, "oid")) == oid


@given(st.binary(max_size=400), st.sampled_from([der.SEQUENCE, der.OCTET_STRING]))
def test_what_is_encoded_is_read(content: bytes, tag: int) -> None:
    encoded = der.encode(tag, content)
    reader = der.Reader(encoded)
    assert reader.bytes_of(tag, "content") == content
    assert reader.at_end
    reader.finish("all")
    assert der.Reader(encoded).encoded(tag, "content") == encoded


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    reader = der.Reader(data)
    with contextlib.suppress(FormatError):
        while not reader.at_end:
            reader.encoded(reader.peek(), "element")
    assert 0 <= reader.position <= len(data)


def test_what_is_left_over_is_named() -> None:
    with pytest.raises(FormatError, match="the end of the message, found 2 bytes more"):
        der.Reader(b"\x05\x00").finish("the message")
