"""Signature lists as mokutil writes them, and ones that lie."""

from __future__ import annotations

import random
import struct
import uuid

import pytest

from lkm.errors import FormatError
from lkm.signing import efi
from tests.support.efi import encode_lists
from tests.support.signing import Workshop


def entry(data: bytes, kind: uuid.UUID = efi.X509) -> efi.EfiSignature:
    return efi.EfiSignature(kind, efi.SHIM, data)


def test_lists_are_read_back(shop: Workshop) -> None:
    entries = (
        entry(shop.mok.der.read_bytes()),
        entry(bytes(32), efi.SHA256),
        entry(shop.stranger.der.read_bytes()),
    )
    assert efi.parse_lists(encode_lists(entries)) == entries
    assert efi.parse_lists(b"") == ()


def test_one_list_may_have_many_entries() -> None:
    body = b"".join(uuid.UUID(int=i).bytes + bytes([i]) * 32 for i in range(1, 4))
    data = struct.pack("<16sIII", efi.SHA256.bytes_le, 28 + len(body), 0, 48) + body
    assert [found.data[:1] for found in efi.parse_lists(data)] == [b"\1", b"\2", b"\3"]


@pytest.mark.parametrize(
    ("size", "header", "signature"),
    [
        (27, 0, 48),
        (0, 0, 48),
        (77, 0, 48),
        (76, 0, 0),
        (76, 0, 16),
        (76, 0, 47),
        (76, 49, 48),
        (0xFFFFFFFF, 0, 48),
        (76, 0xFFFFFFFF, 48),
    ],
)
def test_sizes_that_do_not_fit_are_refused(size: int, header: int, signature: int) -> None:
    data = struct.pack("<16sIII", efi.X509.bytes_le, size, header, signature) + bytes(48)
    with pytest.raises(FormatError):
        efi.parse_lists(data)


def test_any_damage_is_read_or_refused(shop: Workshop) -> None:
    generator = random.Random(6)
    good = encode_lists([entry(shop.mok.der.read_bytes()), entry(bytes(32), efi.SHA256)])
    for _ in range(2000):
        damaged = bytearray(good)
        damaged[generator.randrange(28)] = generator.randrange(256)
        try:
            efi.parse_lists(bytes(damaged[: generator.randrange(len(damaged) + 1)]))
        except FormatError:
            continue


def test_a_variable_has_attributes() -> None:
    assert efi.variable_value(b"\6\0\0\0\1") == b"\1"
    with pytest.raises(FormatError):
        efi.variable_value(b"\6\0\0")
