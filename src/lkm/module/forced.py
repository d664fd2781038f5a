"""A module without what a kernel compares, for a load that is to be forced without flags.

``finit_module`` takes flags for this; ``init_module`` does not. Source: kmod's
``libkmod/libkmod-elf.c: kmod_elf_get_modified_bytes``.
"""

from __future__ import annotations

import struct

from lkm.elf.file import ElfFile
from lkm.elf.source import BytesSource
from lkm.elf.types import SectionFlag

_VERMAGIC = b"vermagic="
_FLAGS_AT = 8  # sh_flags, behind sh_name and sh_type


def without_versions(image: bytes, path: str = "") -> bytes:
    """Return ``image`` with its symbol versions left out of what the kernel loads.

    ``__versions`` loses its ALLOC flag, so that the kernel does not see it. Raises FormatError.
    """
    elf = ElfFile(BytesSource(image, path))
    section = elf.section("__versions")
    if section is None:
        return image
    wide = image[4:5] == b"\x02"
    row = elf.header.section_offset + section.index * (64 if wide else 40)
    form = elf.byte_order + ("Q" if wide else "I")
    changed = bytearray(image)
    struct.pack_into(form, changed, row + _FLAGS_AT, section.flags & ~int(SectionFlag.ALLOC))
    return bytes(changed)


def without_vermagic(image: bytes, path: str = "") -> bytes:
    """Return ``image`` with its vermagic overwritten by zeros; raises FormatError."""
    elf = ElfFile(BytesSource(image, path))
    section = elf.section(".modinfo")
    if section is None:
        return image
    data = b"\0" + elf.data(section)
    start = data.find(b"\0" + _VERMAGIC)
    if start < 0:
        return image
    end = data.find(b"\0", start + 1)
    length = (end if end >= 0 else len(data)) - start - 1
    at = section.offset + start
    return image[:at] + bytes(length) + image[at + length :]
