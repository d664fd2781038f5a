"""The checks in the order in which the kernel makes them, one file each.

The order is that of ``kernel/module/main.c: load_module`` (6.1; the newer kernels' differences
are in the gates). Each gate yields findings; the last fatal one of the first gate that has any is
the one whose errno the caller sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lkm.doctor.case import Case
from lkm.doctor.finding import Finding
from lkm.doctor.gates import (
    blacklist,
    btf,
    duplicates,
    elf,
    file,
    init,
    licence,
    loaded,
    memory,
    module_layout,
    parameters,
    permission,
    signature,
    structure,
    symbols,
    vermagic,
)

Gate = Callable[[Case], Iterator[Finding]]

BEFORE_ELF: tuple[tuple[str, Gate], ...] = (
    ("permission", permission.check),
    ("file", file.check),
    ("signature", signature.check),
    ("elf", elf.check),
)
"""What is looked at while the file may still be anything."""

AFTER_ELF: tuple[tuple[str, Gate], ...] = (
    ("structure", structure.check),
    ("blacklist", blacklist.check),
    ("module_layout", module_layout.check),
    ("vermagic", vermagic.check),
    ("memory", memory.check),
    ("loaded", loaded.check),
    ("licence", licence.check),
    ("symbols", symbols.check),
    ("duplicates", duplicates.check),
    ("btf", btf.check),
    ("parameters", parameters.check),
    ("init", init.check),
)
"""What takes the file for a module."""
