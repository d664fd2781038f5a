"""The symbol versions a module file holds: those it was built against, and those it exports."""

from __future__ import annotations

from lkm.module.image import ModuleImage

_CRC = "__crc_"


def symbol_versions(path: str) -> tuple[tuple[str, int], ...]:
    """Return the symbols a module needs and their CRCs, in file order."""
    return ModuleImage.open(path).versions


def exported_versions(path: str) -> tuple[tuple[str, int], ...]:
    """Return the symbols a module exports and their CRCs, in the order of its symbol table.

    Without ``__crc_`` symbols (a kernel without modversions) every CRC is 0, as kmod has it.
    """
    image = ModuleImage.open(path)
    crcs = {export.name: export.crc or 0 for export in image.exports}
    names = [s.name[len(_CRC) :] for s in image.elf.symbols if s.name.startswith(_CRC)]
    return tuple((name, crcs.get(name, 0)) for name in names or crcs)
