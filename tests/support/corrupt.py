"""Modules changed on purpose: fields of ``.modinfo`` rewritten, and bytes damaged at random."""

from __future__ import annotations

import random
from typing import Literal


def without_field(module: bytes, key: str) -> bytes:
    """Return ``module`` with the modinfo field ``key`` renamed, so that nobody finds it."""
    return _replaced(module, f"\0{key}=".encode(), f"\0{'x' * len(key)}=".encode())


def with_field(module: bytes, key: str, value: str) -> bytes:
    """Return ``module`` with ``value`` in the first field ``key``, padded with NULs.

    The new value may not be longer than the old one.
    """
    start = module.index(f"\0{key}=".encode()) + len(key) + 2
    end = module.index(b"\0", start)
    assert len(value.encode()) <= end - start, f"{value!r} does not fit into {end - start} bytes"
    return module[:start] + value.encode().ljust(end - start, b"\0") + module[end:]


def _replaced(module: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert old in module, f"{old!r} is not in the module"
    return module.replace(old, new)


_HUGE = (0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, (1 << 63) - 1, (1 << 64) - 1)


def mutant(module: bytes, chance: random.Random) -> bytes:
    """Return ``module`` damaged in one to four ways: what a disk, a network or a foe does to it."""
    data = bytearray(module)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        chance.choice(_DAMAGES)(data, chance)
    return bytes(data)


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 8, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[max(1, chance.randrange(len(data))) :]


def _swallow(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.choice((1, 4, 64, 4096))]
    if not data:
        data += b"\0"


def _repeat(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    part = data[start : start + chance.choice((1, 16, 256))]
    data[start:start] = part * chance.choice((1, 2, 16))


def _enlarge(data: bytearray, chance: random.Random) -> None:
    """Write a huge number over a field of any size, anywhere."""
    _write_huge(data, chance.randrange(len(data)), chance)


def _enlarge_in_header(data: bytearray, chance: random.Random) -> None:
    _write_huge(data, chance.randrange(min(64, len(data))), chance)


def _enlarge_in_section_header(data: bytearray, chance: random.Random) -> None:
    """Offsets, sizes, links, counts: what a reader is led astray by."""
    wide = data[4:5] == b"\x02"
    order: Literal["little", "big"] = "big" if data[5:6] == b"\x02" else "little"
    table = int.from_bytes(data[40:48] if wide else data[32:36], order)
    if table < len(data):
        _write_huge(data, chance.randrange(table, len(data)), chance)


def _swap(data: bytearray, chance: random.Random) -> None:
    """Copy a piece over another place: sections that overlap, entries that point back."""
    size = chance.choice((4, 8, 24, 64))
    source, target = (chance.randrange(len(data)) for _ in range(2))
    piece = data[source : source + size]
    data[target : target + len(piece)] = piece


def _write_huge(data: bytearray, place: int, chance: random.Random) -> None:
    width = chance.choice((1, 2, 4, 8))
    value = chance.choice((*_HUGE, len(data), len(data) - 1, 0, 1)) & ((1 << 8 * width) - 1)
    piece = value.to_bytes(width, chance.choice(("little", "big")))[: len(data) - place]
    data[place : place + len(piece)] = piece


_DAMAGES = (
    _flip,
    _cut,
    _swallow,
    _repeat,
    _enlarge,
    _enlarge_in_header,
    _enlarge_in_section_header,
    _enlarge_in_section_header,
    _swap,
)
