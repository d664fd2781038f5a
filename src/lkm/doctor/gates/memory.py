"""Is there room for it? (``kernel/module/main.c: move_module``, ``module_alloc``)"""

from __future__ import annotations

from collections.abc import Iterator

from lkm.doctor.case import Case
from lkm.doctor.causes import state
from lkm.doctor.finding import Evidence, Finding
from lkm.elf.file import SectionFlag
from lkm.elf.machine import X86_64

# arch/x86/include/asm/pgtable_64_types.h: MODULES_END, and MODULES_VADDR with KASLR and without
_X86_64_END = 0xFFFFFFFFFF000000
_X86_64_START = {True: 0xFFFFFFFFC0000000, False: 0xFFFFFFFFA0000000}
_ALLOC = int(SectionFlag.ALLOC)


def check(case: Case) -> Iterator[Finding]:
    """Report a module larger than the whole module area; nothing less is certain beforehand."""
    if case.target.image.machine != X86_64:
        return
    available = _X86_64_END - _X86_64_START[case.target.image.has("RANDOMIZE_BASE")]
    size = sum(row[5] for row in case.section_rows if row[2] & _ALLOC)
    if size > available:
        evidence = Evidence("memory it takes", f"{size >> 20} MiB")
        area = Evidence("area for all modules", f"{available >> 20} MiB")
        yield state.no_memory(case.module).with_evidence(evidence, area)
