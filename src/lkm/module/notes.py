"""ELF notes: the linker's build id."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from lkm.module.elf import ElfFile

_GNU_BUILD_ID = 3


def build_id(elf: ElfFile) -> str | None:
    """Return the build id in hexadecimal, ``None`` when the file has none."""
    data = elf.named_data(".note.gnu.build-id")
    for name, kind, content in _notes(data, elf.byte_order):
        if name == b"GNU\0" and kind == _GNU_BUILD_ID:
            return content.hex()
    return None


def _notes(data: bytes, order: str) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield name, type and content; a note that does not fit ends the list."""
    place = 0
    while place + 12 <= len(data):
        name_size, size, kind = struct.unpack_from(order + "III", data, place)
        name = place + 12
        content = name + (name_size + 3 & ~3)
        place = content + (size + 3 & ~3)
        if content + size > len(data):
            return
        yield data[name : name + name_size], kind, data[content : content + size]
