"""Modules of every shape an architecture may give them, made by the ELF writer."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tests.support.elf_writer import Object, Section, Symbol

MODINFO = (
    b"license=GPL\0description=made by hand\0depends=one,two\0intree=Y\0name=shape\0"
    b"vermagic=6.1.0 SMP mod_unload modversions \0parm=number:A number\0parmtype=number:int\0"
)
EXPORTS = (
    # name, GPL only, namespace, CRC
    ("plain", False, "", 0x11223344),
    ("spaced", False, "SPACE", 0x55667788),
    ("for_gpl", True, "", 0x99AABBCC),
)
IMPORTS = (("printk", 0x01020304), ("kfree", 0xFFFFFFFF))


@dataclass(frozen=True)
class Shape:
    """What differs between architectures and times."""

    name: str
    bits: int
    order: str
    machine: int
    explicit: bool = True
    relative: bool = True  # PREL32 entries in __ksymtab, or absolute ones
    namespaces: bool = True  # since v5.4
    crc_symbols: bool = False  # CRCs as values of __crc_ symbols, before v5.19
    extended: bool = False  # __version_ext_*, since v6.14
    flagged: bool = False  # one table for all exports, those for the GPL in __kflagstab


SHAPES = (
    Shape("x86_64", 64, "<", 62),
    Shape("x86_64 with __version_ext", 64, "<", 62, extended=True),
    Shape("x86_64 with __kflagstab", 64, "<", 62, flagged=True),
    Shape("x86_64 before namespaces", 64, "<", 62, namespaces=False, crc_symbols=True),
    Shape("i386", 32, "<", 3, explicit=False, relative=False, crc_symbols=True),
    Shape("arm", 32, "<", 40, explicit=False, relative=False),
    Shape("aarch64", 64, "<", 183),
    Shape("aarch64 big-endian", 64, ">", 183),
    Shape("ppc64", 64, ">", 21),
    Shape("ppc", 32, ">", 20, relative=False, crc_symbols=True),
    Shape("s390x", 64, ">", 22),
    Shape("riscv32", 32, "<", 243, relative=False),
    Shape("mips, big-endian REL", 32, ">", 8, explicit=False, relative=False),
    Shape("sparc64", 64, ">", 43, relative=False),
)


def module(shape: Shape) -> bytes:
    """Return a module of this shape: exports, imports, versions and one parameter."""
    result = Object(shape.bits, shape.order, shape.machine, shape.explicit)
    result.sections += [
        Section(".text", bytes(64), flags=6, alignment=16),
        Section(".data", struct.pack(shape.order + "i", 42), flags=3, alignment=4),
        Section(".rodata", b"number\0"),
        Section(".modinfo", MODINFO),
        Section(".gnu.linkonce.this_module", bytes(0x100), flags=3),
    ]
    result.symbols += [
        Symbol("init_function", ".text", 16, binding=0, type=2),
        Symbol("init_module", ".text", 16, type=2),
        Symbol("number_data", ".data", 0, binding=0, type=1),
        Symbol("number_text", ".rodata", 0, binding=0),
        Symbol("param_ops_int"),
    ]
    _add_exports(result, shape)
    _add_versions(result, shape)
    _add_parameter(result)
    return result.bytes()


def _add_exports(result: Object, shape: Shape) -> None:
    strings = Section("__ksymtab_strings")
    for suffix, gpl in ("", False), ("_gpl", True):
        exports = [e for e in EXPORTS if (not gpl if shape.flagged else e[1] == gpl)]
        table, crcs = Section(f"__ksymtab{suffix}", alignment=8), Section(f"__kcrctab{suffix}")
        for name, _, namespace, crc in exports:
            _add_export(result, shape, (table, crcs, strings), (name, namespace, crc))
        result.sections += [table] if shape.crc_symbols else [table, crcs]
    if shape.flagged:
        flags = bytes(only_gpl for _, only_gpl, _, _ in EXPORTS)
        result.sections.append(Section("__kflagstab", flags))
    result.sections.append(strings)


def _add_export(
    result: Object,
    shape: Shape,
    sections: tuple[Section, Section, Section],
    export: tuple[str, str, int],
) -> None:
    table, crcs, strings = sections
    name, namespace, crc = export
    result.symbols.append(Symbol(name, ".text", 0, type=2))
    if shape.crc_symbols:
        result.symbols.append(Symbol(f"__crc_{name}", "*ABS*", crc))
    else:
        crcs.data += struct.pack(shape.order + "I", crc)
    words = [name]
    texts = [("__kstrtab_", name)] + [("__kstrtabns_", namespace)] * shape.namespaces
    for prefix, text in texts:
        words.append(prefix + name)
        result.symbols.append(Symbol(words[-1], strings.name, len(strings.data), binding=0))
        strings.data += text.encode() + b"\0"
    _add_entry(table, words, 4 if shape.relative else shape.bits // 8)


def _add_entry(table: Section, words: list[str], size: int) -> None:
    for word in words:
        table.relocations.append((len(table.data), word, 1, 0))
        table.data += bytes(size)


def _add_versions(result: Object, shape: Shape) -> None:
    result.symbols += [Symbol(name) for name, _ in IMPORTS]
    result.symbols.append(Symbol("perhaps", binding=2))
    wanted = (("module_layout", 7), *IMPORTS)
    if shape.extended:
        crcs = struct.pack(f"{shape.order}{len(wanted)}I", *(crc for _, crc in wanted))
        names = b"".join(name.encode() + b"\0" for name, _ in wanted)
        result.sections += [
            Section("__version_ext_crcs", crcs),
            Section("__version_ext_names", names),
        ]
        return
    word = shape.bits // 8
    form = f"{shape.order}{'Q' if word == 8 else 'I'}{64 - word}s"
    data = b"".join(struct.pack(form, crc, name.encode()) for name, crc in wanted)
    result.sections.append(Section("__versions", data))


def _add_parameter(result: Object) -> None:
    wide = result.bits == 64
    size, operations, permission, argument = (40, 16, 24, 32) if wide else (20, 8, 12, 16)
    data = bytearray(size)
    struct.pack_into(result.order + "H", data, permission, 0o644)
    pointers = [(0, "number_text"), (operations, "param_ops_int"), (argument, "number_data")]
    result.sections.append(
        Section(
            "__param",
            bytes(data),
            alignment=8,
            relocations=[(offset, symbol, 1, 0) for offset, symbol in pointers],
        )
    )
