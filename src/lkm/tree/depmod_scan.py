"""Read from a module file what the indexes are made of, as fast as Python can.

The usual file (64-bit little-endian, with ``__versions`` that name all its undefined symbols) is
read in five short reads without building any object per section or symbol. Whatever is unusual
about a file, the careful reader (``depmod_careful``) looks at it instead.

Source of what counts: kmod's ``libkmod/libkmod-elf.c`` (``kmod_elf_get_symbols``,
``kmod_elf_get_dependency_symbols``).
"""

from __future__ import annotations

import importlib
import os
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from struct import Struct
from struct import error as StructError
from types import ModuleType
from typing import TYPE_CHECKING, cast

from lkm.errors import LkmError

if TYPE_CHECKING:
    from lkm.tree.depmod_careful import Facts

Signature = tuple[int, int, int]
"""Size, modification time in nanoseconds, inode."""
Scanned = tuple["Facts", Signature]
NO_SIGNATURE: Signature = (-1, -1, -1)

Read = Callable[[int, int], bytes]
"""``read(size, offset)`` returns up to ``size`` bytes at ``offset``."""

_header = Struct("<6s34xQ10xHHH").unpack_from
_ELF64_LITTLE = b"\x7fELF\x02\x01"
_SECTION = 64
_SYMBOL = 24
_NAMES_GUESS = 1024  # the section names usually lie just before the section headers
_ONE_BYTE = 256
_PROGBITS, _SYMTAB, _STRTAB = 1, 2, 3
VERSION_RECORD = 64
iterate_versions = Struct("8x56s").iter_unpack  # struct modversion_info: a CRC, a padded name
_UNDEFINED = 1 << 48  # a symbol's first word is below it when its section index is 0


class _UnusualError(Exception):
    """This file is for the careful reader."""


_NOT_USUAL = (_UnusualError, ValueError, IndexError, StructError, OverflowError)


def scan(directory: str, paths: Sequence[str]) -> list[Scanned]:
    """Return the facts of the modules ``paths``, absolute or relative to ``directory``."""
    found = []
    for path in paths:
        name = path if path[0] == "/" else f"{directory}/{path}"
        try:
            scanned = _plain(name) if path.endswith(".ko") else _packed(name)
        except OSError as error:
            scanned = (careful().unreadable(error), NO_SIGNATURE)
        found.append(scanned)
    return found


def signature(status: os.stat_result) -> Signature:
    """Return what tells a file from what it was before."""
    return status.st_size, status.st_mtime_ns, status.st_ino


def _plain(name: str) -> Scanned:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        try:
            facts = _usual_facts(partial(os.pread, descriptor), status.st_size)
        except _NOT_USUAL:
            facts = careful().read_facts(name)
    finally:
        os.close(descriptor)
    return facts, signature(status)


def _packed(name: str) -> Scanned:
    from lkm.module.compression import decompress

    with open(name, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        data = file.read()
    try:
        payload = decompress(data, path=name)
        facts = _usual_facts(lambda size, offset: payload[offset : offset + size], len(payload))
    except (LkmError, *_NOT_USUAL):
        facts = careful().read_facts(name)
    return facts, signature(status)


def careful() -> ModuleType:
    """Return the careful reader, whose import most trees need not pay for."""
    return importlib.import_module("lkm.tree.depmod_careful")


def undefined_names(name: str) -> list[bytes]:
    """Return the undefined symbols of the module in the file ``name``, in the table's order."""
    if name.endswith(".ko"):
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            sections = _Sections(partial(os.pread, descriptor), os.fstat(descriptor).st_size)
            return _undefined(sections, sections.find(b"\0.symtab\0", _SYMTAB))
        except _NOT_USUAL:
            pass
        finally:
            os.close(descriptor)
    return cast("list[bytes]", careful().read_facts(name)[5].split(b"\0")[:-1])


class _Sections:
    """The section headers of one file, still packed."""

    __slots__ = ("_kinds", "_read", "_size", "count", "names", "words")

    def __init__(self, read: Read, size: int) -> None:
        ident, offset, entry_size, count, names = _header(read(64, 0))
        end = offset + count * _SECTION
        if ident != _ELF64_LITTLE or entry_size != _SECTION or end > size:
            raise _UnusualError
        start = max(offset - _NAMES_GUESS, 0)
        tail = read(end - start, start)
        self.words = words = array("Q", tail[offset - start :])
        self._kinds = words[::8]  # each the type and the place of the name
        self._read = read
        self._size = size
        self.count = count
        begin, length = words[8 * names + 3 : 8 * names + 5]
        if begin >= start:
            self.names = tail[begin - start : begin - start + length]
        else:
            self.names = self.data(8 * names)

    def find(self, name: bytes, kind: int = _PROGBITS) -> int:
        """Return where the header of a section is, by its name with a NUL before and after it.

        It must be there.
        """
        place = self.names.find(name)
        if place < 0:
            raise _UnusualError
        return 8 * self._kinds.index(kind << 32 | place + 1)

    def data(self, header: int) -> bytes:
        """Return the bytes of the section with this header."""
        offset, size = self.words[header + 3 : header + 5]
        if offset + size > self._size:
            raise _UnusualError
        return self._read(size, offset)

    def globals(self, header: int) -> bytes:
        """Return a symbol table from its first global symbol on."""
        offset, size, link_and_info = self.words[header + 3 : header + 6]
        local = (link_and_info >> 32) * _SYMBOL
        if offset + size > self._size or local > size:
            raise _UnusualError
        return self._read(size - local, offset + local)

    def total(self, *names: bytes) -> int:
        """Return the size of all sections that have one of these names."""
        places = [self.names.find(name) + 1 for name in names]
        words = self.words
        return sum(
            words[8 * index + 4]
            for index, kind in enumerate(self._kinds)
            if kind and kind & 0xFFFF_FFFF in places
        )


def _usual_facts(read: Read, size: int) -> Facts:
    sections = _Sections(read, size)
    data = sections.data(sections.find(b"\0.modinfo\0"))
    aliases = _fields(data, b"alias=", 6) if b"alias=" in data else b""
    softdeps = _fields(data, b"softdep=", 8) if b"softdep=" in data else b""
    weakdeps = _fields(data, b"weakdep=", 8) if b"weakdep=" in data else b""
    exports = _exports(sections) if b"__ksymtab_strings\0" in sections.names else []
    versions, imports = _imports(sections)
    return aliases, softdeps, weakdeps, ended(exports), versions, ended(imports), ""


def _fields(data: bytes, key: bytes, size: int) -> bytes:
    return ended([entry[size:] for entry in data.split(b"\0") if entry[:size] == key])


def ended(strings: Sequence[bytes]) -> bytes:
    """Return ``strings`` in one, each with a NUL after it."""
    return b"\0".join(strings) + b"\0" if strings else b""


def _exports(sections: _Sections) -> list[bytes]:
    strings = sections.data(sections.find(b"\0__ksymtab_strings\0"))
    exports = [name for name in strings.split(b"\0") if name]
    if len(exports) * 4 == sections.total(b"\0__kcrctab\0", b"\0__kcrctab_gpl\0"):
        return exports
    # There are namespaces among the names, or no CRCs at all.
    names = sections.data(sections.find(b"\0.strtab\0", _STRTAB))
    if b"\0__crc_" not in names:
        return exports
    table = array("I", sections.data(sections.find(b"\0.symtab\0", _SYMTAB)))[6::6]
    return [
        names[place + 6 : names.index(0, place)]
        for place in table
        if names.startswith(b"__crc_", place)
    ]


def _imports(sections: _Sections) -> tuple[bytes, list[bytes]]:
    table = sections.find(b"\0.symtab\0", _SYMTAB)
    if b"__versions\0" not in sections.names:
        return b"", _undefined(sections, table)
    versions = sections.data(sections.find(b"\0__versions\0"))
    # modpost writes a record for each undefined symbol whose CRC it knows, and module_layout.
    # A symbol is undefined when its section index is 0; below 256 sections one byte tells.
    undefined_count = sections.globals(table)[6::_SYMBOL].count(0)
    if undefined_count + 1 == len(versions) // VERSION_RECORD and sections.count <= _ONE_BYTE:
        return versions, []
    undefined = _undefined(sections, table)
    have = set(undefined)
    records = (name.partition(b"\0")[0] for (name,) in iterate_versions(versions))
    return b"", undefined + [name for name in records if name not in have]


def _undefined(sections: _Sections, table: int) -> list[bytes]:
    names = sections.data(sections.find(b"\0.strtab\0", _STRTAB))
    end = names.index
    return [
        names[place : end(0, place)]
        for word in array("Q", sections.globals(table))[::3]
        if 0 < word < _UNDEFINED and (place := word & 0xFFFF_FFFF)
    ]
