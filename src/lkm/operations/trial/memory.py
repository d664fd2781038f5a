"""Telling where a kernel puts a module, what it writes there, and what it takes back after init."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lkm.elf.types import SHN_UNDEF
from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.emulated.watch.module_memory import MemoryWatch
from lkm.module import memory, relocations
from lkm.module.image import ModuleImage
from lkm.module.relocation_types import type_name
from lkm.operations.trial import events

_PAGE = 4096
_WAIT, _MOST_WAITS = 0.1, 10
_MOST_RELOCATIONS, _MOST_OF_SECTION = 200, 40
_WIDE = ("R_X86_64_64", "R_X86_64_PC64", "R_X86_64_GLOB_DAT")


@dataclass(frozen=True, slots=True)
class _Write:
    """A place that the kernel's linker is to write to."""

    section: str
    offset: int
    address: int
    type: str
    symbol: str
    value: int
    before: bytes


class MemoryTeller:
    """Watches one load and tells its memory at three moments."""

    def __init__(
        self,
        machine: EmulatedMachine,
        image: ModuleImage,
        emit: Callable[[events.Event], None],
    ) -> None:
        self._machine = machine
        self._image = image
        self._emit = emit
        self._writes: list[_Write] = []
        self._watch: MemoryWatch = machine.watch_memory(
            image, linked=self._linked, protected=self._protected
        )

    def loaded(self) -> None:
        """Tell the memory after init, and which pages are gone."""
        watch = self._watch
        watch.end()
        for _ in range(_MOST_WAITS):
            gone = [page for page in watch.pages() if not watch.permissions(page)]
            if gone:
                break
            self._machine.let_pass(_WAIT)  # do_free_init is work that is put off
        if watch.sections:
            self._tell("live")
            runs = tuple(events.FreedPages(start, count) for start, count in _runs(gone))
            self._emit(events.MemoryFreed(runs, len(gone) * _PAGE))

    def _linked(self) -> None:
        self._tell("linked")
        self._writes = list(itertools.islice(self._planned(), _MOST_RELOCATIONS))

    def _protected(self) -> None:
        for write in self._writes:
            after = self._watch.read(write.address, len(write.before))
            told = events.Relocated(
                write.section,
                write.offset,
                write.address,
                write.type,
                write.symbol,
                write.value,
                write.before.hex(),
                after.hex(),
            )
            self._emit(told)
        self._tell("protected")

    def _tell(self, moment: str) -> None:
        sections = tuple(
            events.PlacedSection(each.name, each.address, each.size, self._group(each.name))
            for each in self._watch.sections
        )
        name = self._image.modinfo.get("name") or self._image.name
        self._emit(events.LaidOut(name, moment, sections, tuple(self._page_runs())))

    def _group(self, name: str) -> str:
        section = self._image.elf.section(name)
        return memory.group_name(section) if section is not None else ""

    def _page_runs(self) -> Iterator[events.PageRun]:
        """Yield pages in a row of equal permissions and sections."""
        start, count = 0, 0
        last: tuple[str, tuple[str, ...]] = ("", ())
        for page in self._watch.pages():
            found = (self._watch.permissions(page), self._sections_at(page))
            if count and found == last and page == start + count * _PAGE:
                count += 1
                continue
            if count:
                yield events.PageRun(start, count, *last)
            start, count, last = page, 1, found
        if count:
            yield events.PageRun(start, count, *last)

    def _sections_at(self, page: int) -> tuple[str, ...]:
        return tuple(
            each.name
            for each in self._watch.sections
            if each.address < page + _PAGE and each.address + each.size > page
        )

    def _planned(self) -> Iterator[_Write]:
        """Yield places to be relocated, some of each section."""
        elf = self._image.elf
        placed = {each.name: each.address for each in self._watch.sections}
        for section in elf.sections:
            if section.name not in placed:
                continue
            entries = relocations.of_section(elf, section)
            for entry in itertools.islice(entries, _MOST_OF_SECTION):
                kind = type_name(elf.header.machine, entry.type)
                address = placed[section.name] + entry.offset
                symbol, value = self._symbol(entry.symbol, placed)
                before = self._watch.read(address, 8 if kind in _WIDE else 4)
                yield _Write(section.name, entry.offset, address, kind, symbol, value, before)

    def _symbol(self, index: int, placed: dict[str, int]) -> tuple[str, int]:
        """Return a symbol's name (else its section's) and its address, 0 where it is not known."""
        symbol = self._image.elf.symbols[index]
        if symbol.section == SHN_UNDEF:
            return symbol.name, self._machine.image.kallsyms.get(symbol.name) or 0
        if symbol.section >= len(self._image.elf.sections):
            return symbol.name, symbol.value
        section = self._image.elf.sections[symbol.section]
        start = placed.get(section.name, 0)
        return symbol.name or section.name, start + symbol.value if start else 0


def _runs(pages: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the start and length of each row of pages."""
    start, count = 0, 0
    for page in pages:
        if count and page == start + count * _PAGE:
            count += 1
            continue
        if count:
            yield start, count
        start, count = page, 1
    if count:
        yield start, count
