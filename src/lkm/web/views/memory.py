"""A module's memory: what its file says beforehand, and what a kernel makes of it."""

from __future__ import annotations

import os
from collections import Counter

from lkm.elf.file import Section
from lkm.module import memory, relocations
from lkm.module.image import ModuleImage
from lkm.module.relocation_types import type_name
from lkm.operations.trial.request import Procedure, TrialRequest, Watching
from lkm.web.contract.requests import MemoryQuestion, MemoryRequest, Subject
from lkm.web.contract.tree_answers import MemoryGroup, MemoryPlan, MemorySection, RelocationCount
from lkm.web.views.bringing import bring_file
from lkm.web.views.running import Telling, kernel_of, of_release, shown, trial, try_words
from lkm.web.views.state import Surroundings

_PERMISSIONS = {
    "text": "r-x",
    "rodata": "r--",
    "ro_after_init": "r--",
    "data": "rw-",
    "init_text": "r-x",
    "init_rodata": "r--",
    "init_data": "rw-",
    "percpu": "rw-",
}


def answer(question: MemoryQuestion, surroundings: Surroundings) -> MemoryPlan:
    """Return the memory a module will take."""
    kind, _, name = question.module.rpartition(":")
    subject = Subject(example=name) if kind == "example" else Subject(name=question.module)
    telling = Telling("", "memory", surroundings.folder, allow_live=False, tell=lambda _: None)
    telling.prepare(MemoryRequest(subject, question.kernel))
    brought = bring_file(subject, question.kernel, telling)
    image = ModuleImage.open(brought.path)
    release = brought.kernel.release
    sections = _sections(image)
    measured = memory.measure(image.elf, release)
    return MemoryPlan(
        module=image.modinfo.get("name") or image.name,
        path=os.path.basename(brought.path),
        release=release,
        core=measured.core,
        init=measured.init,
        percpu=measured.percpu,
        page_size=memory.PAGE_SIZE,
        groups=_groups(sections),
        sections=sections,
        relocations=_relocations(image),
        command=f"lkm inspect {subject.name or brought.path}{of_release(release)}",
    )


def run(request: MemoryRequest, telling: Telling) -> None:
    """Load a module and show where everything goes."""
    procedure, watching = Procedure(), Watching(stages=True, memory=True)
    where = kernel_of(request.kernel)
    words = try_words(shown(request.subject), where, procedure, (), watching)
    telling.started(words)
    trial(TrialRequest(telling.what, procedure, where, watching=watching), telling)


def _sections(image: ModuleImage) -> tuple[MemorySection, ...]:
    ends: Counter[str] = Counter()
    found = []
    for section in image.sections[1:]:
        group = memory.group_name(section)
        offset = _aligned(ends[group], section.alignment) if group else 0
        if group:
            ends[group] = offset + section.size
        found.append(
            MemorySection(
                name=section.name,
                offset=offset,
                size=section.size,
                file_offset=section.offset,
                alignment=section.alignment,
                group=group,
                kept=_is_kept(section, group),
                loaded=bool(group),
            )
        )
    return tuple(found)


def _is_kept(section: Section, group: str) -> bool:
    return bool(group) and not group.startswith("init_") and not memory.is_init(section.name)


def _groups(sections: tuple[MemorySection, ...]) -> tuple[MemoryGroup, ...]:
    found = []
    for name, permissions in _PERMISSIONS.items():
        size = max((s.offset + s.size for s in sections if s.group == name), default=0)
        if size:
            pages = -(-size // memory.PAGE_SIZE)
            kept = not name.startswith("init_")
            found.append(MemoryGroup(name, permissions, size, pages, kept))
    return tuple(found)


def _relocations(image: ModuleImage) -> tuple[RelocationCount, ...]:
    elf = image.elf
    counts = Counter(
        (elf.sections[section.info].name, type_name(elf.header.machine, entry.type))
        for section in relocations.relocation_sections(elf)
        if section.info < len(elf.sections)
        for entry in relocations.entries(elf, section)
    )
    return tuple(
        RelocationCount(section, kind, count) for (section, kind), count in counts.most_common()
    )


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment if alignment > 1 else size
