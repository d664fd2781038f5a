"""The symbols a kernel image exports to modules.

Source: ``include/linux/export.h`` and ``include/asm-generic/export.h`` (the entries),
``kernel/module/main.c: find_symbol`` (which tables are searched), ``scripts/mod/modpost.c``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from lkm.elf.types import Section
from lkm.errors import FormatError
from lkm.vmlinux.executable import Executable

_MASK = (1 << 64) - 1
_GPL_ONLY = 1  # KSYM_FLAG_GPL_ONLY in include/linux/module_symbol.h


@dataclass(frozen=True, slots=True)
class KernelExport:
    """One exported symbol: ``namespace`` is empty for none, ``crc`` ``None`` without modversions.

    ``address`` is the one in the image, before KASLR moves it.
    """

    name: str
    gpl: bool
    namespace: str
    crc: int | None
    address: int


def read(kernel: Executable) -> tuple[KernelExport, ...]:
    """Return the exports of ``kernel``, sorted by name; none when it takes no modules."""
    found = [
        export
        for suffix, gpl in (("", False), ("_gpl", True))
        for export in _table(kernel, suffix, gpl)
    ]
    return tuple(sorted(found, key=lambda export: export.name))


@dataclass(frozen=True, slots=True)
class _Shape:
    """An entry's fields: how many, of what ``struct`` format, and whether place-relative."""

    fields: int
    format: str
    relative: bool

    @property
    def size(self) -> int:
        return self.fields * struct.calcsize(self.format)

    def read(self, table: bytes, address: int, index: int) -> list[int]:
        """Return an entry's fields as addresses, 0 where one is not set."""
        width = struct.calcsize(self.format)
        values = []
        for at in range(index * self.size, (index + 1) * self.size, width):
            (value,) = struct.unpack_from(self.format, table, at)
            values.append((address + at + value) & _MASK if self.relative and value else value)
        return values


def _table(kernel: Executable, suffix: str, gpl: bool) -> Iterator[KernelExport]:
    section = kernel.sections.get(f"__ksymtab{suffix}")
    table = kernel.content(f"__ksymtab{suffix}")
    if section is None or not table:
        return
    crcs = kernel.content(f"__kcrctab{suffix}") or b""
    # Newer kernels (seen in 7.2) have one table, and a byte of flags for each entry.
    flags = b"" if gpl else kernel.content("__kflagstab") or b""
    shape = _shape(kernel, section, table, len(crcs) // 4)
    for index in range(len(table) // shape.size):
        address, name, *rest = shape.read(table, section.address, index)
        crc = None
        if 4 * index + 4 <= len(crcs):
            (crc,) = struct.unpack_from(kernel.byte_order + "I", crcs, 4 * index)
        namespace = kernel.string(rest[0]) if rest and rest[0] else ""
        only_gpl = gpl or bool(int.from_bytes(flags[index : index + 1]) & _GPL_ONLY)
        yield KernelExport(kernel.string(name), only_gpl, namespace, crc, address)


def _shape(kernel: Executable, section: Section, table: bytes, crcs: int) -> _Shape:
    """Return the shape of a table's entries, told by where the first names then point.

    Relative (``HAVE_ARCH_PREL32_RELOCATIONS``) fields have 4 bytes, absolute ones a pointer's;
    there are value and name, and since 5.4 the namespace.
    """
    strings = kernel.sections.get("__ksymtab_strings")
    pointer = kernel.byte_order + ("Q" if kernel.pointer_size == 8 else "I")
    for relative, form in ((True, kernel.byte_order + "i"), (False, pointer)):
        for fields in (3, 2):
            shape = _Shape(fields, form, relative)
            count, rest = divmod(len(table), shape.size)
            if rest or strings is None or (crcs and count != crcs):
                continue
            names = [shape.read(table, section.address, i)[1] for i in range(min(count, 8))]
            if all(0 <= name - strings.address < strings.size for name in names):
                return shape
    raise FormatError(
        "entries with two or three fields that name a symbol",
        f"{len(table)} bytes beside {crcs} CRCs",
        path=kernel.path,
        offset=section.offset,
    )


def to_bytes(exports: tuple[KernelExport, ...]) -> bytes:
    """Return the exports as bytes that ``from_bytes`` reads: a line each."""
    return "\n".join(
        f"{e.name} {int(e.gpl)} {e.address:x} {'' if e.crc is None else e.crc} {e.namespace}"
        for e in exports
    ).encode()


def from_bytes(data: bytes) -> tuple[KernelExport, ...]:
    """Read what ``to_bytes`` wrote."""
    found = []
    for line in data.decode().splitlines():
        name, gpl, address, crc, namespace = line.split(" ", 4)
        found.append(
            KernelExport(name, gpl == "1", namespace, int(crc) if crc else None, int(address, 16))
        )
    return tuple(found)
