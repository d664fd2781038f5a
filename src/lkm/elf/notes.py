"""ELF notes, of which the linker's build id is one.

Source: the System V gABI, "Note Section".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_GNU_BUILD_ID = 3


@dataclass(frozen=True, slots=True)
class Note:
    """An ELF note: the owner's name, the type number it gave, and what it holds."""

    owner: str
    type: int
    content: bytes


def read(data: bytes, byte_order: str) -> Iterator[Note]:
    """Yield the notes of a section; one that does not fit ends the list."""
    place = 0
    while place + 12 <= len(data):
        name_size, size, kind = struct.unpack_from(byte_order + "III", data, place)
        name = place + 12
        content = name + (name_size + 3 & ~3)
        place = content + (size + 3 & ~3)
        if content + size > len(data):
            return
        owner = data[name : name + name_size].rstrip(b"\0").decode("ascii", "replace")
        yield Note(owner, kind, data[content : content + size])


def build_id(data: bytes, byte_order: str) -> str | None:
    """Return the GNU build id among the notes in hexadecimal, ``None`` when there is none."""
    for note in read(data, byte_order):
        if note.owner == "GNU" and note.type == _GNU_BUILD_ID:
            return note.content.hex()
    return None
