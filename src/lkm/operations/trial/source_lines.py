"""Module address to function and offset, and to the source line where there is DWARF."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lkm.elf.file import Symbol
from lkm.errors import LkmError
from lkm.module.compression import Compression
from lkm.module.image import ModuleImage

if TYPE_CHECKING:
    from lkm.doctor.symbolize import SourceLine
    from lkm.kernel.emulated.watch.findings import Site


@dataclass(frozen=True, slots=True)
class Place:
    """``at`` is ``function+0xoffset``, ``line`` ``file:line``, ``text`` that line.

    The latter two are empty where they are not known.
    """

    at: str
    line: str = ""
    text: str = ""


class Places:
    """Finds the source lines of one module, if it has debug data."""

    def __init__(self, image: ModuleImage) -> None:
        self._image = image
        has_lines = image.elf.section(".debug_line") is not None
        self._readable = has_lines and image.compression is Compression.NONE
        self._lookup = functools.cache(self._look_up)

    def of(self, site: Site, *, returns: bool = False) -> Place:
        """Return the place of ``site``; where it is a call's, ``returns`` says after the call."""
        back = 1 if returns else 0
        source = self._lookup(site.section, site.section_offset - back) if site.section else ()
        return place(str(site), source)

    def of_symbol(self, name: str) -> Place:
        """Return the place of a function of the module, by its symbol's name."""
        elf = self._image.elf
        for symbol in elf.symbols:
            if symbol.name == name and 0 < symbol.section < len(elf.sections):
                section = elf.sections[symbol.section].name
                own = next(
                    (s.name for s in elf.symbols if _alias(s, symbol) and s.name != name), name
                )
                return place(f"{own}+0x0", self._lookup(section, symbol.value))
        return Place("")

    def _look_up(self, section: str, offset: int) -> tuple[SourceLine, ...]:
        elf = self._image.elf
        header = elf.section(section)
        if not self._readable or header is None:
            return ()
        from lkm.doctor import symbolize  # only where something was found

        start = Symbol("", offset, 0, 0, 0, header.index)
        try:
            return symbolize.lookup(Path(self._image.path), elf, start, 0)
        except LkmError:
            return ()  # no addr2line here: a place without its line is still one


def _alias(one: Symbol, other: Symbol) -> bool:
    return (one.section, one.value, one.type) == (other.section, other.value, other.type)


def place(at: str, source: tuple[SourceLine, ...]) -> Place:
    """Return a place: of the lines in ``source`` the innermost that is the module's own.

    Much of what a module calls is inline in the kernel's headers, which says little.
    """
    if not source:
        return Place(at)
    own = [line for line in source if "/include/" not in line.file]
    line = (own or source)[0]
    return Place(at, f"{line.file}:{line.line}", line.text.strip())
