"""Modules that claim to be larger than any memory; the file system need keep little of them."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

from lkm.elf.file import ElfFile
from lkm.elf.source import BytesSource
from tests.support.modules import built

HUGE = 1 << 40  # bytes
SECTIONS = (".modinfo", "__versions", ".symtab", ".strtab")


def enlarged(section: str, path: Path) -> Path:
    """Write a module whose section is said to be nearly as long as the file, which is huge."""
    shutil.copy(built("hello"), path)
    elf = ElfFile(BytesSource(path.read_bytes()))
    names = [elf.section_at(number).name for number in range(elf.header.section_count)]
    with open(path, "r+b") as file:
        file.seek(elf.header.section_offset + 64 * names.index(section) + 32)
        file.write(struct.pack("<Q", HUGE // 2))
        file.truncate(HUGE)
    return path
