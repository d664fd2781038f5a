"""Hostile bytes end in facts or in a ``FormatError``, soon and with little memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkm.errors import FormatError
from lkm.module import compression, modinfo, signature, signer, vermagic
from tests.support.fuzz import read_everything
from tests.support.shapes import SHAPES, Shape, module


def run_fuzzer(seed: int, count: int, folder: Path) -> None:
    command = [sys.executable, "-m", "tests.support.fuzz", str(seed), str(count), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    outcomes = json.loads(result.stdout)
    assert sum(outcomes.values()) == count
    # A fuzzer whose mutants are all refused at the door, or all harmless, tests nothing.
    assert min(outcomes["facts"], outcomes["FormatError"]) > count // 20


def test_a_few_thousand_mutants(tmp_path: Path) -> None:
    run_fuzzer(1, 3000, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 104))
def test_two_hundred_thousand_mutants(seed: int, tmp_path: Path) -> None:
    run_fuzzer(seed, 50_000, tmp_path)


def refusal(data: bytes) -> FormatError | None:
    """Read everything; any other exception is the test's failure."""
    try:
        read_everything(data)
    except FormatError as error:
        return error
    return None


@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    assert refusal(data)


@given(st.binary(max_size=600))
def test_any_bytes_after_a_header(data: bytes) -> None:
    start = module(SHAPES[0])[:64]
    error = refusal(start + data)
    assert error is None or (error.expected and error.found)


@given(st.sampled_from(SHAPES), st.data())
@settings(max_examples=300)
def test_any_change_of_any_shape(shape: Shape, data: st.DataObject) -> None:
    original = bytearray(module(shape))
    place = data.draw(st.integers(0, len(original) - 1))
    piece = data.draw(st.binary(min_size=1, max_size=16))
    original[place : place + len(piece)] = piece
    error = refusal(bytes(original))
    assert error is None or str(error).startswith("mutant.ko")


@given(st.lists(st.tuples(st.text(), st.text())))
def test_modinfo_keeps_what_was_written(pairs: list[tuple[str, str]]) -> None:
    kept = [
        (key, value)
        for key, value in pairs
        if key and "\0" not in key + value and "=" not in key and (key + value).isprintable()
    ]
    data = b"".join(f"{key}={value}\0".encode() for key, value in kept)
    assert modinfo.parse(data).fields == tuple(kept)


@given(st.binary())
def test_modinfo_of_any_bytes(data: bytes) -> None:
    fields = modinfo.parse(data).fields
    assert sum(len(key) + len(value) for key, value in fields) <= len(data)


@given(st.text())
def test_any_vermagic(text: str) -> None:
    parsed = vermagic.parse(text)
    assert parsed.text == text
    assert not vermagic.compare(parsed, parsed, has_versions=False)


@given(st.binary(max_size=300))
def test_any_pkcs7(blob: bytes) -> None:
    found = signer.read(signature.Signature(0, blob))
    assert found is None or found.id_type == "PKCS#7"


@given(st.sampled_from([b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"]), st.binary(max_size=200))
def test_any_packed_bytes(magic: bytes, data: bytes) -> None:
    error = refusal(magic + data)
    assert error is not None
    name = compression.detect(magic + data).value
    assert name in error.expected or "ELF" in error.expected
