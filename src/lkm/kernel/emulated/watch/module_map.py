"""A loaded module's addresses and its file's places, each from the other."""

from __future__ import annotations

import bisect

from lkm.elf.file import SectionFlag, SymbolType
from lkm.kernel.emulated.watch.findings import Site
from lkm.module.image import ModuleImage

_ALIASES = ("init_module", "cleanup_module")


class ModuleMap:
    """The executable sections of a module at the addresses where the kernel put them."""

    def __init__(self, image: ModuleImage, addresses: dict[str, int]) -> None:
        self._sections = sorted(
            (addresses[section.name], section.size, section.name, section.index)
            for section in image.elf.sections
            if section.flags & SectionFlag.EXECINSTR and section.name in addresses
        )
        self._functions: dict[int, list[tuple[int, str]]] = {}
        for symbol in image.elf.symbols:
            if symbol.type == SymbolType.FUNC:
                place = (symbol.value, symbol.name)
                self._functions.setdefault(symbol.section, []).append(place)
        self._spans = sorted(
            (addresses[section.name], section.size, section.name, section.index)
            for section in image.elf.sections
            if section.name in addresses and section.size
        )
        self._variables = sorted(
            (addresses[section.name] + symbol.value, symbol.size, symbol.name)
            for symbol in image.elf.symbols
            if symbol.type == SymbolType.OBJECT
            and 0 < symbol.section < len(image.elf.sections)
            and (section := image.elf.sections[symbol.section]).name in addresses
        )
        for functions in self._functions.values():
            # Of two names for one place the last is taken: the author's, not the macro's.
            functions.sort(key=lambda place: (place[0], place[1] not in _ALIASES))

    def site(self, address: int) -> Site | None:
        """Return the place of an address, or ``None`` when it is not in the module's text."""
        index = bisect.bisect_right(self._sections, (address, 1 << 64)) - 1
        if index < 0:
            return None
        start, size, name, section = self._sections[index]
        offset = address - start
        if offset >= size:
            return None
        functions = self._functions.get(section, [])
        at = bisect.bisect_right(functions, offset, key=lambda place: place[0]) - 1
        if at < 0:
            return Site(name, offset, name, offset)
        value, function = functions[at]
        return Site(function, offset - value, name, offset)

    def variable(self, address: int) -> str | None:
        """Return the name of the module's variable at an address (``name+0x8`` inside one)."""
        index = bisect.bisect_right(self._variables, (address, 1 << 64)) - 1
        if index < 0:
            return None
        start, size, name = self._variables[index]
        offset = address - start
        if offset >= max(size, 1):
            return None
        return f"{name}+{offset:#x}" if offset else name

    def section(self, address: int) -> str:
        """Return the name of the section that an address is in; empty outside the module."""
        index = bisect.bisect_right(self._spans, (address, 1 << 64)) - 1
        if index < 0:
            return ""
        start, size, name, _ = self._spans[index]
        return name if address < start + size else ""

    def addresses(self) -> dict[int, int]:
        """Return the address of each executable section by its index in the file."""
        return {index: start for start, _, _, index in self._sections}
