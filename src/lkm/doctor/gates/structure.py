"""Has the object what makes it a module? (``kernel/module/main.c: setup_load_info``)

A symbol table, ``.gnu.linkonce.this_module``, and in newer kernels (``elf_validity_cache_index``)
exactly one of each, and ``struct module`` of the right size.
"""

from __future__ import annotations

from collections.abc import Iterator

from lkm.doctor.case import Case
from lkm.doctor.causes import format, version
from lkm.doctor.finding import Finding
from lkm.elf.file import Section, SectionFlag, SectionType

_THIS_MODULE = ".gnu.linkonce.this_module"


def check(case: Case) -> Iterator[Finding]:
    """Yield the first thing missing."""
    newer = "one-symbol-table" in case.target.image.checks
    finding = _newer(case) if newer else _older(case)
    if finding:
        yield finding


def _older(case: Case) -> Finding | None:
    if case.image.elf.symbol_table is None:
        return format.stripped(_early_name(case), case.path)
    section = case.image.elf.section(_THIS_MODULE)
    if section is None or not section.allocated:
        name = _early_name(case) or "(missing .modinfo section or name field)"
        message = f"{name}: No module found in object"
        return format.no_this_module(case.module, message, case.path)
    return None


def _newer(case: Case) -> Finding | None:
    sections = case.image.elf.sections
    infos = [s for s in sections if s.name == ".modinfo"]
    if len(infos) > 1:
        return format.damaged(
            "Only one .modinfo section must exist.", case.path, "it has two .modinfo sections"
        )
    name = _early_name(case) or "(missing .modinfo section or name field)"
    return _this_module(case, [s for s in sections if s.name == _THIS_MODULE], name) or (
        format.stripped(_early_name(case), case.path)
        if sum(s.type == SectionType.SYMTAB for s in sections) != 1
        else None
    )


def _this_module(case: Case, found: list[Section], name: str) -> Finding | None:
    if len(found) != 1:
        message = f"module {name}: Exactly one {_THIS_MODULE} section must exist."
        return format.no_this_module(case.module, message, case.path)
    section = found[0]
    if section.type == SectionType.NOBITS:
        message = f"module {name}: {_THIS_MODULE} section must have a size set"
        return format.no_this_module(case.module, message, case.path)
    if not section.flags & SectionFlag.ALLOC:
        message = f"module {name}: {_THIS_MODULE} must occupy memory during process execution"
        return format.no_this_module(case.module, message, case.path)
    expected = case.target.image.struct_module
    if expected is not None and section.size != expected:
        return version.struct_size(
            name, section.size, expected, release=case.target.release, path=case.path
        )
    return None


def _early_name(case: Case) -> str:
    return case.image.modinfo.get("name") or ""
