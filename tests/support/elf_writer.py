"""An ELF writer for the objects no compiler here makes: 32-bit, big-endian, other machines."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

PROGBITS, SYMTAB, STRTAB, RELA, NOBITS, REL = 1, 2, 3, 4, 8, 9
ALLOC = 2
ABS = 0xFFF1


@dataclass
class Section:
    """A section to write; ``relocations`` are ``(offset, symbol name, type, addend)``."""

    name: str
    data: bytes = b""
    type: int = PROGBITS
    flags: int = ALLOC
    alignment: int = 1
    relocations: list[tuple[int, str, int, int]] = field(default_factory=list)


@dataclass
class Symbol:
    """A symbol to write; ``section`` is a name, empty for an undefined one, or ``*ABS*``."""

    name: str
    section: str = ""
    value: int = 0
    binding: int = 1
    type: int = 0
    size: int = 0


@dataclass
class Object:
    """A relocatable object file; ``explicit`` chooses RELA over REL."""

    bits: int = 64
    order: str = "<"
    machine: int = 62
    explicit: bool = True
    flags: int = 0
    sections: list[Section] = field(default_factory=list)
    symbols: list[Symbol] = field(default_factory=list)

    def bytes(self) -> bytes:
        """Return the file."""
        return _Writer(self).write()


class _Strings:
    def __init__(self) -> None:
        self.data = b"\0"

    def add(self, text: str) -> int:
        place = len(self.data)
        self.data += text.encode() + b"\0"
        return place if text else 0


class _Writer:
    def __init__(self, source: Object) -> None:
        self.source = source
        self.wide = source.bits == 64
        self.names = _Strings()
        self.out = bytearray(64 if self.wide else 52)
        self.headers: list[bytes] = [bytes(64 if self.wide else 40)]
        self.index = {section.name: n for n, section in enumerate(source.sections, 1)}
        # Local symbols come first, and the null symbol before them.
        self.symbols = sorted(source.symbols, key=lambda symbol: symbol.binding != 0)
        self.number = {symbol.name: n for n, symbol in enumerate(self.symbols, 1)}

    def pack(self, form: str, *values: int) -> bytes:
        return struct.pack(self.source.order + form, *values)

    def write(self) -> bytes:
        sections = self.source.sections
        symtab = len(sections) + sum(bool(s.relocations) for s in sections) + 1
        for section in sections:
            self.add(section.name, section.type, section.flags, section.data, section.alignment)
        for section in sections:
            if section.relocations:
                self.add_relocations(section, symtab)
        self.add_symbols(symtab)
        place = self.names.add(".shstrtab")
        self.add_header(place, STRTAB, 0, len(self.out), len(self.names.data))
        self.out += self.names.data
        return self.finished()

    def add(
        self, name: str, kind: int, flags: int, data: bytes, alignment: int, **more: int
    ) -> None:
        self.out += bytes(-len(self.out) % max(alignment, 1))
        place = self.names.add(name)
        self.add_header(place, kind, flags, len(self.out), len(data), alignment=alignment, **more)
        if kind != NOBITS:
            self.out += data

    def add_header(
        self,
        name: int,
        kind: int,
        flags: int,
        offset: int,
        size: int,
        *,
        link: int = 0,
        info: int = 0,
        alignment: int = 1,
        entry: int = 0,
    ) -> None:
        form = "IIQQQQIIQQ" if self.wide else "10I"
        row = (name, kind, flags, 0, offset, size, link, info, alignment, entry)
        self.headers.append(self.pack(form, *row))

    def add_relocations(self, section: Section, symtab: int) -> None:
        explicit = self.source.explicit
        data = b""
        for offset, symbol, kind, addend in section.relocations:
            number = self.number[symbol]
            info = number << 32 | kind if self.wide else number << 8 | kind
            data += self.pack("QQ" if self.wide else "II", offset, info)
            if explicit:
                data += self.pack("q" if self.wide else "i", addend)
        entry = (16 if self.wide else 8) + (8 if self.wide else 4) * explicit
        self.add(
            (".rela" if explicit else ".rel") + section.name,
            RELA if explicit else REL,
            0x40,
            data,
            8,
            link=symtab,
            info=self.index[section.name],
            entry=entry,
        )

    def add_symbols(self, symtab: int) -> None:
        strings = _Strings()
        data = bytes(24 if self.wide else 16)
        for symbol in self.symbols:
            name = strings.add(symbol.name)
            section = ABS if symbol.section == "*ABS*" else self.index.get(symbol.section, 0)
            info = symbol.binding << 4 | symbol.type
            if self.wide:
                data += self.pack("IBBHQQ", name, info, 0, section, symbol.value, symbol.size)
            else:
                data += self.pack("IIIBBH", name, symbol.value, symbol.size, info, 0, section)
        first_global = 1 + sum(symbol.binding == 0 for symbol in self.symbols)
        entry = 24 if self.wide else 16
        self.add(".symtab", SYMTAB, 0, data, 8, link=symtab + 1, info=first_global, entry=entry)
        self.add(".strtab", STRTAB, 0, strings.data, 1)

    def finished(self) -> bytes:
        self.out += bytes(-len(self.out) % 8)
        offset = len(self.out)
        order = 1 if self.source.order == "<" else 2
        identity = b"\x7fELF" + bytes((2 if self.wide else 1, order, 1)) + bytes(9)
        head, entry = (64, 64) if self.wide else (52, 40)
        form = "HHIQQQIHHHHHH" if self.wide else "HHIIIIIHHHHHH"
        count = len(self.headers)
        fields = [1, self.source.machine, 1, 0, 0, offset, self.source.flags]
        fields += [head, 0, 0, entry, count, count - 1]
        self.out[:head] = identity + self.pack(form, *fields)
        return bytes(self.out) + b"".join(self.headers)
