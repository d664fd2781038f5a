"""A module's exported and undefined symbols, and their CRCs.

Sources: ``include/linux/export.h`` (``struct kernel_symbol``), ``scripts/mod/modpost.c``
(``__versions``, ``__version_ext_*``), ``kernel/module/version.c: check_version``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from lkm.elf.file import SHN_ABS, Binding, ElfFile, Section, Symbol, SymbolType
from lkm.module import relocations

_GPL_ONLY = 1  # KSYM_FLAG_GPL_ONLY
_VERSION_RECORD = 64  # struct modversion_info: an unsigned long, then the name


@dataclass(frozen=True, slots=True)
class Export:
    """A symbol other modules may use; ``crc`` is ``None`` without CONFIG_MODVERSIONS."""

    name: str
    gpl: bool
    namespace: str
    crc: int | None


@dataclass(frozen=True, slots=True)
class Import:
    """A symbol the module needs; ``crc`` is the one it was built against, if known.

    A ``weak`` one may stay unresolved.
    """

    name: str
    crc: int | None
    weak: bool


def versions(elf: ElfFile) -> tuple[tuple[str, int], ...]:
    """Return the wanted CRCs, ``(symbol, crc)``, in file order; ``module_layout`` among them.

    The extended table (since v6.14) is read where it is present, for it holds any name length.
    """
    return tuple(_extended_versions(elf)) or tuple(_basic_versions(elf))


def _extended_versions(elf: ElfFile) -> Iterator[tuple[str, int]]:
    crcs = elf.named_data("__version_ext_crcs")
    if not crcs:
        return
    names = elf.named_data("__version_ext_names").split(b"\0")
    values = struct.iter_unpack(elf.byte_order + "I", crcs[: len(crcs) & ~3])
    for (crc,), name in zip(values, names, strict=False):
        yield name.decode("utf-8", "surrogateescape"), crc


def _basic_versions(elf: ElfFile) -> Iterator[tuple[str, int]]:
    data = elf.named_data("__versions")
    word = "Q" if elf.header.bits == 64 else "I"
    record = struct.Struct(f"{elf.byte_order}{word}{_VERSION_RECORD - elf.header.bits // 8}s")
    whole = data[: len(data) // _VERSION_RECORD * _VERSION_RECORD]
    for crc, name in record.iter_unpack(whole):
        yield name.partition(b"\0")[0].decode("utf-8", "surrogateescape"), crc & 0xFFFFFFFF


def imports(elf: ElfFile) -> tuple[Import, ...]:
    """Return the undefined symbols in symbol-table order, each with its wanted CRC."""
    wanted = dict(versions(elf))
    return tuple(
        Import(symbol.name, wanted.get(symbol.name), symbol.binding == Binding.WEAK)
        for symbol in elf.undefined_symbols
        if symbol.name and symbol.binding in (Binding.GLOBAL, Binding.WEAK)
    )


def exports(elf: ElfFile) -> tuple[Export, ...]:
    """Return the exported symbols, each table in its own order.

    GPL-only ones are in a table of their own or, in newer kernels, flagged in ``__kflagstab``
    (``enum ksym_flags``). Raises ``FormatError`` when the tables point outside the file's strings.
    """
    flags = elf.named_data("__kflagstab")
    everyone = [
        Export(name, bool(int.from_bytes(flags[index : index + 1]) & _GPL_ONLY), namespace, crc)
        for index, (name, namespace, crc) in enumerate(_table(elf, "__ksymtab"))
    ]
    for_gpl = [
        Export(name, True, namespace, crc) for name, namespace, crc in _table(elf, "__ksymtab_gpl")
    ]
    return tuple(everyone + for_gpl)


def _table(elf: ElfFile, name: str) -> Iterator[tuple[str, str, int | None]]:
    section = elf.section(name)
    if section is None or not section.size:
        return
    crcs = _Checksums(elf, name.replace("__ksymtab", "__kcrctab"))
    for index, (symbol, namespace) in enumerate(_entries(elf, section)):
        yield symbol, namespace, crcs.of(symbol, index)


def _entries(elf: ElfFile, table: Section) -> Iterator[tuple[str, str]]:
    """Yield the name and namespace of each ``struct kernel_symbol`` in ``table``.

    Its members are the value, the name and (since v5.4) the namespace. All are relocated, be they
    addresses or 32-bit offsets; those that point into ``__ksymtab_strings`` are the strings, so
    the layout need not be known.
    """
    strings = elf.section("__ksymtab_strings")
    if strings is None:
        return
    data = elf.data(strings)
    texts: list[str] = []
    for relocation in sorted(relocations.of_section(elf, table), key=lambda r: r.offset):
        symbol = elf.symbol_at(relocation.symbol)
        if symbol.section != strings.index:
            if texts:
                yield _pair(texts)
            texts = []
            continue
        addend = relocation.addend
        if addend is None:
            addend = _implicit_addend(elf, table, relocation.offset)
        texts.append(elf.string(data, symbol.value + addend))
    if texts:
        yield _pair(texts)


def _pair(texts: list[str]) -> tuple[str, str]:
    return texts[0], texts[1] if len(texts) > 1 else ""


def _implicit_addend(elf: ElfFile, section: Section, offset: int) -> int:
    data = elf.data(section)[offset : offset + 4]
    return int.from_bytes(data, "little" if elf.header.little_endian else "big")


def function_behind(elf: ElfFile, alias: str) -> str | None:
    """Return the function that ``alias`` is another name of, ``alias`` itself if it has no other.

    ``None`` when it is not defined. ``module_init(f)`` makes ``init_module`` an alias of ``f``.
    """
    target = next((s for s in elf.symbols if s.name == alias and not s.undefined), None)
    if target is None:
        return None
    place = (target.section, target.value)
    same = [
        symbol.name
        for symbol in elf.symbols
        if (symbol.section, symbol.value) == place
        and symbol.type == SymbolType.FUNC
        and symbol.name != alias
    ]
    return same[0] if same else alias


class _Checksums:
    """The CRCs of one export table: in ``__kcrctab`` entries, or values of ``__crc_`` symbols."""

    def __init__(self, elf: ElfFile, name: str) -> None:
        self._elf = elf
        self._section = elf.section(name)
        self._data = elf.data(self._section) if self._section else b""
        self._symbols: dict[str, Symbol] | None = None

    def of(self, name: str, index: int) -> int | None:
        """Return the CRC of the ``index``-th export, called ``name``."""
        if self._symbols is None:
            self._symbols = {s.name: s for s in self._elf.symbols if s.name.startswith("__crc_")}
        symbol = self._symbols.get(f"__crc_{name}")
        if symbol is None:
            return self._at(index * 4)
        if symbol.section == SHN_ABS:
            return symbol.value & 0xFFFFFFFF
        return self._at(symbol.value)

    def _at(self, offset: int) -> int | None:
        data = self._data[offset : offset + 4]
        if len(data) < 4:
            return None
        return int.from_bytes(data, "little" if self._elf.header.little_endian else "big")
