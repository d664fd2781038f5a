"""The tables of an ELF file: how they are laid out, and what the numbers in them are called.

Source: the System V gABI, ``include/uapi/linux/elf.h``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

SHN_UNDEF = 0
SHN_LORESERVE = 0xFF00
SHN_ABS = 0xFFF1
SHN_COMMON = 0xFFF2
SHN_XINDEX = 0xFFFF


class Layout:
    """How one ELF class and byte order lays its tables out; ``order`` is as ``struct`` has it."""

    def __init__(self, order: str, header: str, section: str, symbol: str, segment: str) -> None:
        self.order = order
        self.header = struct.Struct(order + header)
        self.section = struct.Struct(order + section)
        self.symbol = struct.Struct(order + symbol)
        self.segment = struct.Struct(order + segment)


_NARROW = ("16xHHIIIIIHHHHHH", "10I", "IIIBBH", "8I")
_WIDE = ("16xHHIQQQIHHHHHH", "IIQQQQIIQQ", "IBBHQQ", "IIQQQQQQ")
LAYOUTS = {
    bytes((1, 1)): Layout("<", *_NARROW),
    bytes((1, 2)): Layout(">", *_NARROW),
    bytes((2, 1)): Layout("<", *_WIDE),
    bytes((2, 2)): Layout(">", *_WIDE),
}
"""By class and byte order, the fifth and sixth byte of a file."""


class ObjectType(IntEnum):
    """``e_type``; a module is relocatable."""

    NONE = 0
    RELOCATABLE = 1
    EXECUTABLE = 2
    SHARED = 3
    CORE = 4


class SectionType(IntEnum):
    """The values of ``sh_type`` that a module can have."""

    NULL = 0
    PROGBITS = 1
    SYMTAB = 2
    STRTAB = 3
    RELA = 4
    HASH = 5
    DYNAMIC = 6
    NOTE = 7
    NOBITS = 8
    REL = 9
    SHLIB = 10
    DYNSYM = 11
    INIT_ARRAY = 14
    FINI_ARRAY = 15
    GROUP = 17
    SYMTAB_SHNDX = 18


class SectionFlag(IntFlag):
    """``sh_flags``."""

    WRITE = 0x1
    ALLOC = 0x2
    EXECINSTR = 0x4
    MERGE = 0x10
    STRINGS = 0x20
    INFO_LINK = 0x40
    LINK_ORDER = 0x80
    GROUP = 0x200
    TLS = 0x400
    COMPRESSED = 0x800


class Binding(IntEnum):
    """The upper half of ``st_info``."""

    LOCAL = 0
    GLOBAL = 1
    WEAK = 2


class SymbolType(IntEnum):
    """The lower half of ``st_info``."""

    NOTYPE = 0
    OBJECT = 1
    FUNC = 2
    SECTION = 3
    FILE = 4
    COMMON = 5
    TLS = 6


@dataclass(frozen=True, slots=True)
class Header:
    """The ELF header; ``bits`` is 32 or 64, offsets and sizes are in bytes."""

    bits: int
    little_endian: bool
    abi: int
    type: int
    machine: int
    flags: int
    section_offset: int
    section_count: int
    names_index: int


@dataclass(frozen=True, slots=True)
class Section:
    """One section header with its name; ``index`` counts from 0, the null section."""

    index: int
    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int

    @property
    def allocated(self) -> bool:
        """Whether the kernel keeps it in memory (SHF_ALLOC)."""
        return bool(self.flags & SectionFlag.ALLOC)


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol; ``section`` is a section index or a reserved ``SHN_`` number."""

    name: str
    value: int
    size: int
    binding: int
    type: int
    section: int

    @property
    def undefined(self) -> bool:
        """Whether it is defined elsewhere."""
        return self.section == SHN_UNDEF
