"""The memory a module takes once loaded: what stays, and what is freed after init.

A module's sections are laid out in groups (code, read-only data, data written by init only, data),
each rounded up to pages, followed by the symbols kept for kallsyms. Source:
``kernel/module/main.c: layout_sections``, ``kernel/module/kallsyms.c: layout_symtab``. Since v6.4
each group is an allocation of its own (``struct module_memory``) and the symbols follow the data in
the same pages; before, they begin a new page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lkm.elf.file import ElfFile, Section, SectionFlag, SectionType

PAGE_SIZE = 4096
_NOT_LOADED = frozenset({".modinfo", "__versions", "__version_ext_crcs", "__version_ext_names"})
_PERCPU = ".data..percpu"
_RO_AFTER_INIT = frozenset({".data..ro_after_init", "__jump_table"})
_SINCE_6_15 = frozenset({".static_call_sites"})


@dataclass(frozen=True, slots=True)
class ModuleMemory:
    """Bytes, in whole pages: ``core`` stays, ``init`` is freed; ``percpu`` on each processor.

    ``core`` is what lsmod shows as the size, on a kernel with CONFIG_KALLSYMS_ALL and 4 KiB pages.
    """

    core: int
    init: int
    percpu: int


def is_init(name: str) -> bool:
    """Say whether the section called ``name`` is freed after init (``module_init_section``)."""
    return name.startswith(".init")


def is_loaded(section: Section) -> bool:
    """Say whether the kernel copies ``section`` into the module's memory."""
    return section.allocated and section.name not in _NOT_LOADED and section.name != _PERCPU


def stays(section: Section) -> bool:
    """Say whether ``section`` is in memory after init."""
    return is_loaded(section) and not is_init(section.name)


def measure(elf: ElfFile, release: str = "") -> ModuleMemory:
    """Return what the module will take on a 64-bit kernel of that release."""
    loaded = [section for section in elf.sections if is_loaded(section)]
    core = _grouped((s for s in loaded if not is_init(s.name)), release)
    init = _grouped((s for s in loaded if is_init(s.name)), release)
    core, init = _with_symbols(elf, core, init)
    percpu = elf.section(_PERCPU)
    return ModuleMemory(_pages(core), _pages(init), percpu.size if percpu else 0)


def _is_since(release: str, version: tuple[int, int]) -> bool:
    """Say whether the release is of that version or later, which only its number can tell."""
    numbers = re.match(r"(\d+)\.(\d+)", release)
    return numbers is None or (int(numbers[1]), int(numbers[2])) >= version


def _grouped(sections: Iterable[Section], release: str) -> int:
    """Return where the last section ends; before ``struct module_memory``, the page after it."""
    late = _RO_AFTER_INIT | (_SINCE_6_15 if _is_since(release, (6, 15)) else frozenset())
    groups: list[list[Section]] = [[], [], [], []]
    for section in sections:
        groups[_group(section, late)].append(section)
    size = 0
    for group in groups:
        size = _pages(size)
        for section in group:
            size = _aligned(size, section.alignment) + section.size
    return size if _is_since(release, (6, 4)) else _pages(size)


def _group(section: Section, read_only_after_init: frozenset[str]) -> int:
    if section.flags & SectionFlag.EXECINSTR:
        return 0
    if not section.flags & SectionFlag.WRITE:
        return 1
    return 2 if section.name in read_only_after_init else 3


def group_name(section: Section) -> str:
    """Return what the kernel calls the memory a section is put into (``enum mod_mem_type``).

    Empty for a section that is not loaded; per-processor data is ``percpu``.
    """
    if section.name == _PERCPU:
        return "percpu"
    if section.type == SectionType.SYMTAB or section.name == ".strtab":
        return "init_data"
    if not is_loaded(section):
        return ""
    kind = _group(section, _RO_AFTER_INIT)
    if is_init(section.name):
        return ("init_text", "init_rodata", "init_data", "init_data")[kind]
    return ("text", "rodata", "ro_after_init", "data")[kind]


def _with_symbols(elf: ElfFile, core: int, init: int) -> tuple[int, int]:
    """Add the symbol tables: the whole one to ``init``, what outlives it to ``core``."""
    table = elf.symbol_table
    if table is None:
        return core, init
    strings = elf.section_at(table.link)
    entry = 24 if elf.header.bits == 64 else 16
    staying = {s.index for s in elf.sections if s.name == _PERCPU or stays(s)}
    kept = [symbol for symbol in elf.symbols if symbol.section in staying and symbol.name]
    core = _aligned(core, table.alignment) + (len(kept) + 1) * (entry + 1) + 1
    core += sum(len(symbol.name.encode("utf-8", "surrogateescape")) + 1 for symbol in kept)
    init = _aligned(init, table.alignment) + table.size
    init = _aligned(init, strings.alignment) + strings.size
    kallsyms = 4 * elf.header.bits // 8  # struct mod_kallsyms: three pointers and a count
    return core, _aligned(init, 8) + kallsyms + len(elf.symbols)


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment if alignment > 1 else size


def _pages(size: int) -> int:
    return _aligned(size, PAGE_SIZE)
