"""Read what the indexes are made of from any module file: any class, any byte order, any damage.

Source of what counts, and of what is passed over: kmod's ``libkmod/libkmod-elf.c``
(``kmod_elf_get_symbols``, ``kmod_elf_get_dependency_symbols``) and ``libkmod-file.c``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from lkm.depmod.module_facts import Facts, ended
from lkm.elf.file import Binding, ElfFile, Symbol
from lkm.errors import FormatError, LkmError
from lkm.module import symbols
from lkm.module.image import ModuleImage

CRC_PREFIX = "__crc_"
_SMALLEST = 7  # kmod reads so much to tell how a file is packed
_IDENTITY = 16  # EI_NIDENT
_SPARC = frozenset({2, 18, 43})  # EM_SPARC, EM_SPARC32PLUS, EM_SPARCV9
_NO_CHECKSUM = (1 << 64) - 1
_REGISTER = 13  # STT_REGISTER: a global register, not something undefined


def read_facts(path: str) -> Facts:
    """Return the facts of the module in the file ``path``; never raises."""
    try:
        image = ModuleImage.open(path)
    except OSError as error:
        return unreadable(error)
    except LkmError:
        return damaged(errno.EINVAL)
    try:
        elf = image.elf
        elf.section(".modinfo")  # what is wrong with the headers shows here
    except FormatError:
        return damaged(_reason(image.payload))
    if not elf.header.names_index:
        return damaged(errno.EINVAL)
    try:
        strings = [entry for entry in _section(elf, ".modinfo").split(b"\0") if entry]
        return (
            fields(strings, b"alias="),
            fields(strings, b"softdep="),
            fields(strings, b"weakdep="),
            ended([name for name, _ in exported(elf)]),
            b"",
            ended([name for name, _, _ in wanted(elf)]),
            "",
        )
    finally:
        image.close()


def _reason(data: bytes) -> int:
    """Return kmod's error number for a file whose headers are damaged."""
    if len(data) < _SMALLEST or (len(data) > _IDENTITY and data[:4] == b"\x7fELF"):
        return errno.EINVAL
    return errno.ENOEXEC


def fields(strings: list[bytes], key: bytes) -> bytes:
    """Return the values of ``key``, which ends in ``=``, among the strings of ``.modinfo``."""
    size = len(key)
    return ended([entry[size:] for entry in strings if entry[:size] == key])


def unreadable(error: OSError) -> Facts:
    """Return the facts of a file that could not be read."""
    return damaged(error.errno or errno.EIO)


def damaged(number: int) -> Facts:
    """Return the facts of a file that is no module, with kmod's word for it."""
    return b"", b"", b"", b"", b"", b"", os.strerror(number)


def wanted(elf: ElfFile) -> Iterator[tuple[bytes, int | None, bool]]:
    """Yield the symbols the module needs: name, wanted CRC (if known), and whether it is weak.

    The undefined symbols in table order, then what ``__versions`` names beyond them, such as
    ``module_layout``.
    """
    versions = _versions(elf)
    try:
        undefined = elf.undefined_symbols
    except FormatError:
        return
    sparc = elf.header.machine in _SPARC
    for symbol in undefined:
        if symbol.name and not (sparc and symbol.type == _REGISTER):
            crc = versions.pop(symbol.name, None)
            yield os.fsencode(symbol.name), crc, symbol.binding == Binding.WEAK
    if elf.symbol_table is not None:
        for name, crc in versions.items():
            yield os.fsencode(name), crc, False


def _versions(elf: ElfFile) -> dict[str, int]:
    try:
        # The first record of a name counts.
        return dict(reversed(symbols.versions(elf)))
    except FormatError:
        return {}


def exported(elf: ElfFile) -> Iterator[tuple[bytes, int]]:
    """Yield the symbols the module exports and their CRCs (0 where it has none).

    They are the symbols called ``__crc_NAME``; in a kernel without CONFIG_MODVERSIONS, the
    strings of ``__ksymtab_strings``.
    """
    try:
        checksums = [s for s in elf.symbols if s.name.startswith(CRC_PREFIX)]
    except FormatError:
        checksums = []
    for symbol in checksums:
        yield os.fsencode(symbol.name.removeprefix(CRC_PREFIX)), _checksum(elf, symbol)
    if not checksums:
        for name in _section(elf, "__ksymtab_strings").split(b"\0"):
            if name:
                yield name, 0


def _checksum(elf: ElfFile, symbol: Symbol) -> int:
    """Return the CRC a ``__crc_`` symbol stands for: its value, or the word it points to."""
    if not 0 < symbol.section < elf.header.section_count:
        return symbol.value
    try:
        data = elf.data(elf.section_at(symbol.section))[symbol.value :][:4]
    except FormatError:
        data = b""
    if len(data) < 4:
        return _NO_CHECKSUM
    return int.from_bytes(data, "little" if elf.header.little_endian else "big")


def _section(elf: ElfFile, name: str) -> bytes:
    """Return a section's bytes; none when it is absent or lies outside of the file."""
    try:
        return elf.named_data(name)
    except FormatError:
        return b""
