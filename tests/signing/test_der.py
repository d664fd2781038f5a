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
}


@pytest.mark.parametrize("data", LIES.values(), ids=LIES)
def test_lies_are_refused_with_their_place(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        der.decode(der.Element, data, "a thing", "a file")
    assert str(caught.value).startswith("a file: expected ")


def test_another_tag_is_named() -> None:
    with pytest.raises(FormatError, match="a number in DER, found OCTET STRING"):
        der.decode(int, b"\x04\x00", "a number")


@pytest.mark.parametrize("oid", ["1.2.840.113549.1.7.2", "2.5.4.3", "2.999.3", "0.9.2342"])
def test_oids_are_openssl_s(oid: str) -> None:
    command = ["openssl", "asn1parse", "-genstr", f"OID:{oid}", "-noout", "-out", "/dev/stdout"]
    encoded = subprocess.run(command, capture_output=True, check=True).stdout
    assert der.encode(der.ObjectIdentifier(oid)) == encoded
    assert der.algorithm_oid([der.element(encoded)], "oid") == oid


@given(st.binary(max_size=400))
def test_what_is_encoded_is_read(content: bytes) -> None:
    encoded = der.encode(content)
    assert der.decode(bytes, encoded, "content") == content
    assert der.first_size(encoded) == len(encoded)
    assert der.encode(der.element(encoded)) == encoded


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        assert der.encode(der.element(data)) == data
    with contextlib.suppress(FormatError):
        assert isinstance(der.decode_name(data), str)


def test_what_is_left_over_is_named() -> None:
    with pytest.raises(FormatError, match="the end of the message, found 2 bytes more"):
        der.decode(bytes, b"\x04\x01a\x05\x00", "the message")
