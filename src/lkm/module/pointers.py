"""Follow relocated pointers in an unlinked file: each is a relocation entry."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from lkm.elf.file import SHN_LORESERVE, SHN_UNDEF, ElfFile, Section, SectionType, SymbolType
from lkm.module import relocations
from lkm.module.relocations import Relocation

_TEXT_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class PointerPlace:
    """A byte of a section; ``section`` is its index, or 0 for a symbol that is elsewhere."""

    section: int
    offset: int
    symbol: str = ""


class PointerPlaces:
    """The pointers of one file; each section's relocation entries are read once."""

    def __init__(self, elf: ElfFile) -> None:
        self._elf = elf
        self._tables: dict[int, list[Section]] = {}
        for table in relocations.relocation_sections(elf):
            self._tables.setdefault(table.info, []).append(table)
        self._of: dict[int, dict[int, Relocation]] = {}
        self._data: dict[int, bytes] = {}

    def target(self, section: Section, offset: int) -> PointerPlace | None:
        """Return where the pointer at ``offset`` of ``section`` leads; ``None`` for no pointer."""
        known = self._of.get(section.index)
        if known is None:
            tables = self._tables.get(section.index, [])
            known = {r.offset: r for t in tables for r in relocations.entries(self._elf, t)}
            self._of[section.index] = known
        relocation = known.get(offset)
        if relocation is None:
            return None
        symbol = self._elf.symbol_at(relocation.symbol)
        addend = relocation.addend
        if addend is None:
            addend = self._implicit(section, offset)
        if symbol.section >= SHN_LORESERVE or symbol.section == SHN_UNDEF:
            return PointerPlace(0, addend, symbol.name)
        name = "" if symbol.type == SymbolType.SECTION else symbol.name
        return PointerPlace(symbol.section, symbol.value + addend, name)

    def target_of(self, place: PointerPlace | None) -> PointerPlace | None:
        """Return where the pointer at ``place`` leads."""
        if place is None or not place.section:
            return None
        return self.target(self._elf.section_at(place.section), place.offset)

    def bytes_at(self, place: PointerPlace | None, size: int) -> bytes:
        """Return ``size`` bytes at ``place``, zeros of ``.bss``, nothing where there are none."""
        if place is None or not place.section or place.offset < 0:
            return b""
        section = self._elf.section_at(place.section)
        if place.offset + size > section.size:
            return b""
        if section.type == SectionType.NOBITS:
            return bytes(size)
        return self._content(section)[place.offset : place.offset + size]

    def text_at(self, place: PointerPlace | None) -> str | None:
        """Return the NUL-terminated text at ``place``."""
        if place is None or not place.section or place.offset < 0:
            return None
        section = self._elf.section_at(place.section)
        if section.type == SectionType.NOBITS:
            return "" if place.offset < section.size else None
        data = self._content(section)[place.offset : place.offset + _TEXT_LIMIT]
        text, end, _ = data.partition(b"\0")
        return text.decode("utf-8", "surrogateescape") if end else None

    def name_of(self, place: PointerPlace | None) -> str | None:
        """Return the name of what is at ``place``."""
        if place is None:
            return None
        return place.symbol or self._names.get((place.section, place.offset))

    @functools.cached_property
    def _names(self) -> dict[tuple[int, int], str]:
        return {
            (symbol.section, symbol.value): symbol.name
            for symbol in reversed(self._elf.symbols)
            if symbol.name and symbol.type in (SymbolType.OBJECT, SymbolType.FUNC)
        }

    def _content(self, section: Section) -> bytes:
        if section.index not in self._data:
            self._data[section.index] = self._elf.data(section)
        return self._data[section.index]

    def _implicit(self, section: Section, offset: int) -> int:
        word = self._content(section)[offset : offset + self._elf.header.bits // 8]
        return int.from_bytes(word, "little" if self._elf.header.little_endian else "big")
