"""The ELF object file that a module is: header, sections, symbols; every class and byte order.

Only what is asked for is read. Source of the format: the System V gABI and
``include/uapi/linux/elf.h``; what the kernel demands of it: ``kernel/module/main.c:
elf_validity_check``.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator

from lkm.elf.source import ByteSource
from lkm.elf.types import (
    LAYOUTS,
    SHN_ABS,
    SHN_COMMON,
    SHN_LORESERVE,
    SHN_UNDEF,
    SHN_XINDEX,
    Binding,
    Header,
    Layout,
    ObjectType,
    Section,
    SectionFlag,
    SectionType,
    Symbol,
    SymbolType,
)
from lkm.errors import FormatError

__all__ = [
    "NAME_LIMIT",
    "SHN_ABS",
    "SHN_COMMON",
    "SHN_LORESERVE",
    "SHN_UNDEF",
    "SHN_XINDEX",
    "Binding",
    "ElfFile",
    "Header",
    "ObjectType",
    "Section",
    "SectionFlag",
    "SectionType",
    "Symbol",
    "SymbolType",
]

NAME_LIMIT = 1024
"""Longest name read, in bytes; the kernel's own limit is KSYM_NAME_LEN, 512."""

_SHSTRTAB_GUESS = 1024  # the names usually lie just before the section headers
_EMPTY_TYPES = frozenset(map(int, (SectionType.NOBITS, SectionType.NULL)))
_FEW = 4  # a name that occurs more often is searched for header by header


_SectionRow = tuple[int, int, int, int, int, int, int, int, int, int]
_SymbolRow = tuple[int, int, int, int, int]  # name, value, size, info, section


class ElfFile:
    """An ELF file read from ``source``, table by table, when asked.

    Raises ``FormatError`` from any attribute whose bytes are not what they claim to be.
    """

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self._layout, self.header = _read_header(source)

    @property
    def byte_order(self) -> str:
        """``<`` or ``>``, as ``struct`` names it."""
        return self._layout.order

    @functools.cached_property
    def _table(self) -> bytes:
        """The section headers, still packed: most callers want one or two of them."""
        header = self.header
        size = self._layout.section.size * header.section_count
        return self.source.read(header.section_offset, size)

    def _row(self, index: int) -> _SectionRow:
        if not 0 <= index < self.header.section_count:
            raise self._error(f"a section index below {self.header.section_count}", str(index))
        form = self._layout.section
        row: _SectionRow = form.unpack_from(self._table, index * form.size)
        return row

    @functools.cached_property
    def _section_names(self) -> bytes:
        if not self.header.section_count:
            return b""
        row = self._row(self.header.names_index)
        names = self.source.read(row[4], row[5])
        if not names.endswith(b"\0"):
            raise self._error("section names that end in NUL", names[-8:].hex(" "), row[4])
        return names

    @functools.cached_property
    def sections(self) -> tuple[Section, ...]:
        """All sections in file order; the first is the null section."""
        names = self._section_names
        return tuple(
            Section(index, self.string(names, row[0]), *row[1:])
            for index, row in enumerate(self._layout.section.iter_unpack(self._table))
        )

    def section(self, name: str) -> Section | None:
        """Return the first section called ``name``, without decoding the others."""
        index = self._find(name)
        return Section(index, name, *self._row(index)[1:]) if index else None

    def _find(self, name: str) -> int:
        """Return the index of the first section called ``name``, 0 when there is none."""
        places = _places(self._section_names, name.encode() + b"\0")
        if len(places) > _FEW:
            wanted = set(places)
            rows = enumerate(self._layout.section.iter_unpack(self._table))
            return next((index for index, row in rows if row[0] in wanted and index), 0)
        found = [index for index in map(self._index_of, places) if index]
        return min(found) if found else 0

    def _index_of(self, name_offset: int) -> int:
        """Return the index of the first section whose ``sh_name`` is this, 0 when none is."""
        size = self._layout.section.size
        packed = struct.pack(self.byte_order + "I", name_offset)
        place = self._table.find(packed, size)
        while place % size and place >= 0:
            place = self._table.find(packed, (place // size + 1) * size)
        return max(place // size, 0)

    def section_at(self, index: int) -> Section:
        """Return the section with this index."""
        row = self._row(index)
        return Section(index, self.string(self._section_names, row[0]), *row[1:])

    def data(self, section: Section) -> bytes:
        """Return the bytes of ``section``; none for one that takes no room in the file."""
        if section.type in _EMPTY_TYPES:
            return b""
        return self.source.read(section.offset, section.size)

    def named_data(self, name: str) -> bytes:
        """Return the bytes of the first section called ``name``, empty when there is none."""
        index = self._find(name)
        if not index:
            return b""
        row = self._row(index)
        return b"" if row[1] in _EMPTY_TYPES else self.source.read(row[4], row[5])

    @functools.cached_property
    def symbol_table(self) -> Section | None:
        """The section of type SYMTAB; ``None`` in a stripped file."""
        for index in range(self.header.section_count):
            if self._row(index)[1] == SectionType.SYMTAB:
                return self.section_at(index)
        return None

    @functools.cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbol table in file order, the null symbol first; empty in a stripped file."""
        table = self.symbol_table
        if table is None:
            return ()
        return tuple(map(self._symbol, self._symbol_rows(table)))

    @functools.cached_property
    def undefined_symbols(self) -> tuple[Symbol, ...]:
        """The symbols defined elsewhere, in table order, without decoding the others' names."""
        table = self.symbol_table
        if table is None:
            return ()
        rows = (row for row in self._symbol_rows(table) if row[4] == SHN_UNDEF and row[0])
        return tuple(map(self._symbol, rows))

    def symbol_at(self, index: int) -> Symbol:
        """Return the symbol with this index, as relocation entries name it."""
        if not 0 <= index < len(self.symbols):
            raise self._error(f"a symbol index below {len(self.symbols)}", str(index))
        return self.symbols[index]

    @functools.cached_property
    def _symbol_names(self) -> bytes:
        assert self.symbol_table is not None
        return self.data(self.section_at(self.symbol_table.link))

    def _symbol(self, row: _SymbolRow) -> Symbol:
        name, value, size, info, section = row
        text = self.string(self._symbol_names, name) if name else ""
        return Symbol(text, value, size, info >> 4, info & 15, section)

    def _symbol_rows(self, table: Section) -> Iterator[_SymbolRow]:
        form = self._layout.symbol
        data = self.data(table)
        rows = form.iter_unpack(data[: len(data) // form.size * form.size])
        if self.header.bits == 64:
            return ((n, value, size, info, shndx) for n, info, _, shndx, value, size in rows)
        return ((n, value, size, info, shndx) for n, value, size, info, _, shndx in rows)

    def string(self, table: bytes, offset: int) -> str:
        """Return the NUL-terminated string at ``offset`` of a string table."""
        end = table.find(b"\0", offset, offset + NAME_LIMIT) if offset >= 0 else -1
        if end < 0:
            raise self._error(
                f"a name of at most {NAME_LIMIT} bytes",
                f"string table offset {offset:#x} of {len(table):#x} without an end",
            )
        return table[offset:end].decode("utf-8", "surrogateescape")

    def _error(self, expected: str, found: str, offset: int | None = None) -> FormatError:
        return FormatError(
            expected,
            found,
            path=self.source.path,
            offset=offset,
            hint="the file is truncated or damaged",
        )


def _places(table: bytes, text: bytes) -> list[int]:
    """Return where ``text`` occurs: a linker may let one name be the end of another."""
    places = []
    place = table.find(text)
    while place >= 0:
        places.append(place)
        place = table.find(text, place + 1)
    return places


def _read_header(source: ByteSource) -> tuple[Layout, Header]:
    start = source.read(0, min(64, source.size))
    if start[:4] != b"\x7fELF":
        raise FormatError(
            "the ELF magic 7f 45 4c 46",
            start[:4].hex(" ") or "an empty file",
            path=source.path,
            offset=0,
            hint="this is not a kernel module",
        )
    layout = LAYOUTS.get(start[4:6])
    if layout is None:
        raise FormatError(
            "ELF class 1 or 2 and byte order 1 or 2",
            start[4:6].hex(" "),
            path=source.path,
            offset=4,
            hint="the file is damaged",
        )
    if len(start) < layout.header.size:
        raise FormatError("an ELF header", f"{len(start)} bytes", path=source.path, offset=0)
    return layout, _checked_header(source, start, layout)


def _checked_header(source: ByteSource, start: bytes, layout: Layout) -> Header:
    kind, machine, _, _, _, offset, flags, _, _, _, entry_size, count, names_index = (
        layout.header.unpack_from(start)
    )
    if not offset:
        count = 0
    elif entry_size != layout.section.size:
        raise FormatError(
            f"section headers of {layout.section.size} bytes",
            f"e_shentsize {entry_size}",
            path=source.path,
            hint="the file is damaged",
        )
    else:
        source.expect(max(offset - _SHSTRTAB_GUESS, 0))
        if count == 0 or names_index == SHN_XINDEX:
            # More sections than 16 bits can count: the null section's header has the numbers.
            first = layout.section.unpack(source.read(offset, layout.section.size))
            count = count or first[5]
            names_index = first[6] if names_index == SHN_XINDEX else names_index
    return Header(
        64 if start[4] == 2 else 32,
        layout.order == "<",
        start[7],
        kind,
        machine,
        flags,
        offset,
        count,
        names_index,
    )
