"""Relocation entries: where the kernel's linker will write what.

Source: the System V gABI; applied by ``arch/*/kernel/module.c: apply_relocate[_add]``. MIPS64
packs three types into one entry (``arch/mips/include/asm/elf.h: Elf64_Mips_Rela``).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lkm.elf.file import ElfFile, Section, SectionType
from lkm.elf.machine import MIPS
from lkm.errors import FormatError
from lkm.module.relocation_types import type_name


@dataclass(frozen=True, slots=True)
class Relocation:
    """One entry: ``offset`` bytes into the section, ``symbol`` an index into the symbol table.

    ``addend`` is ``None`` in a REL entry, whose addend lies in the bytes to be relocated.
    """

    offset: int
    type: int
    symbol: int
    addend: int | None


def entries(elf: ElfFile, section: Section) -> Iterator[Relocation]:
    """Return the entries of a section of type REL or RELA, in file order."""
    explicit = section.type == SectionType.RELA
    wide = elf.header.bits == 64
    form = struct.Struct(elf.byte_order + ("QQq" if wide else "IIi")[: 3 if explicit else 2])
    data = elf.data(section)
    split = _split_for(elf)
    for offset, info, *addend in form.iter_unpack(data[: len(data) // form.size * form.size]):
        symbol, kind = split(info)
        yield Relocation(offset, kind, symbol, addend[0] if addend else None)


def relocation_sections(elf: ElfFile) -> tuple[Section, ...]:
    """Return the REL and RELA sections, in file order.

    Raises ``FormatError`` where they overlap, which would make little data a lot of work.
    """
    found = tuple(s for s in elf.sections if s.type in (SectionType.REL, SectionType.RELA))
    total = sum(section.size for section in found)
    if total > elf.source.size:
        raise FormatError(
            f"at most {elf.source.size:#x} bytes of relocation entries",
            f"{total:#x} in {len(found)} sections",
            path=elf.source.path,
            hint="the file is damaged",
        )
    return found


def of_section(elf: ElfFile, target: Section) -> Iterator[Relocation]:
    """Return the entries that apply to ``target``, in file order."""
    for section in relocation_sections(elf):
        if section.info == target.index:
            yield from entries(elf, section)


def counted(elf: ElfFile) -> tuple[tuple[str, int], ...]:
    """Return how many entries there are of each type, the most frequent first."""
    counts = Counter(
        entry.type for section in relocation_sections(elf) for entry in entries(elf, section)
    )
    names = ((type_name(elf.header.machine, number), count) for number, count in counts.items())
    return tuple(sorted(names, key=lambda pair: (-pair[1], pair[0])))


def _split_for(elf: ElfFile) -> Callable[[int], tuple[int, int]]:
    if elf.header.bits == 32:
        return lambda info: (info >> 8, info & 0xFF)
    if elf.header.machine == MIPS and elf.header.little_endian:
        # The symbol is a 32-bit word of its own, the type the last byte.
        return lambda info: (info & 0xFFFFFFFF, info >> 56)
    if elf.header.machine == MIPS:
        return lambda info: (info >> 32, info & 0xFF)
    return lambda info: (info >> 32, info & 0xFFFFFFFF)
