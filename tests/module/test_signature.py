"""The appended signature, on a distribution's module and on damaged ones."""

from __future__ import annotations

import random

import pytest

from lkm.errors import FormatError
from lkm.module import signature
from tests.support.kernels import kernel_files


@pytest.fixture(scope="module")
def loop() -> bytes:
    return (kernel_files().modules / "kernel/drivers/block/loop.ko").read_bytes()


def test_a_distribution_module_is_read(loop: bytes) -> None:
    found = signature.read(loop)
    assert found is not None
    assert found.is_pkcs7
    assert found.is_clean
    assert found.blob[:2] == b"\x30\x82"
    assert found.content_length + len(found.blob) + 12 + len(signature.MARKER) == len(loop)


def test_strip_and_append_are_inverse(loop: bytes) -> None:
    found = signature.read(loop)
    assert found is not None
    bare = signature.strip(loop)
    assert bare == loop[: found.content_length]
    assert signature.read(bare) is None
    assert signature.strip(bare) == bare
    assert signature.append(bare, found.blob) == loop
    assert signature.append(loop, found.blob) == loop


def test_old_signatures_carry_signer_and_key_id() -> None:
    data = b"content" + b"Key" + b"id" + b"sig" + bytes([1, 4, 1, 3, 2, 0, 0, 0, 0, 0, 0, 3])
    found = signature.read(data + signature.MARKER)
    assert found == signature.Signature(7, b"sig", 1, 1, 4, b"Key", b"id")
    assert not found.is_pkcs7
    assert not found.is_clean


@pytest.mark.parametrize("size", [0, 5, 11])
def test_a_marker_without_trailer_is_refused(size: int) -> None:
    with pytest.raises(FormatError, match="before the signature marker"):
        signature.read(bytes(size) + signature.MARKER)


@pytest.mark.parametrize("length", [1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_length_past_the_start_is_refused(length: int) -> None:
    trailer = bytes([0, 0, 2, 0, 0, 0, 0, 0]) + length.to_bytes(4, "big")
    with pytest.raises(FormatError, match="at most 0 bytes") as caught:
        signature.strip(trailer + signature.MARKER)
    assert caught.value.hint


def test_any_trailer_is_read_or_refused() -> None:
    generator = random.Random(6)
    for _ in range(500):
        data = generator.randbytes(generator.randrange(40)) + signature.MARKER
        try:
            found = signature.read(data)
        except FormatError:
            continue
        assert found is not None
        assert found.content_length >= 0
