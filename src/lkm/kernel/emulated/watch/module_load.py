"""Notice that a module is about to be initialised: linked and laid out, not yet run.

Source: ``kernel/module/main.c: do_init_module``; where its sections are is what
/sys/module/NAME/sections shows (``kernel/module/sysfs.c: add_sect_attrs``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unicorn import x86_const as x86

from lkm.kernel.emulated.hardware.death import NotMapped
from lkm.kernel.emulated.hardware.patches import of_text
from lkm.kernel.emulated.hardware.processor import Processor

_MOST_SECTIONS = 4096
_NAME_SIZE = 64
_MOST_TEXT = 64 << 20


@dataclass(frozen=True, slots=True)
class ComingModule:
    """A module's name and the addresses of its sections."""

    name: str
    sections: dict[str, int]


class ModuleLoads:
    """Replaces what the emulator needs otherwise in each module's text, and tells a listener.

    Its memory may have held another module's text before, of which nothing may stay translated.
    """

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self.listener: Callable[[ComingModule], None] | None = None
        processor.breakpoint(processor.layout.symbols["do_init_module"], self._coming)

    def _coming(self) -> None:
        module = self._processor.register(x86.UC_X86_REG_RDI)
        for base, size in self._processor.layout.module_text:
            self._patch(module + base, module + size)
        if self.listener is not None:
            self.listener(ComingModule(self._name(module), self._sections(module)))

    def _patch(self, base: int, size: int) -> None:
        memory = self._processor.memory
        start, length = memory.u64(base), memory.u32(size)
        if not start or length > _MOST_TEXT:
            return
        try:
            text = memory.read(start, length)
        except NotMapped:
            return
        self._processor.forget_code(start, length)
        for patch in of_text(text, start):
            memory.write(patch.address, patch.data)

    def _name(self, module: int) -> str:
        at = module + self._processor.layout.offsets["module.name"]
        return self._processor.memory.string(at, _NAME_SIZE).decode("utf-8", "replace")

    def _sections(self, module: int) -> dict[str, int]:
        memory, offsets = self._processor.memory, self._processor.layout.offsets
        attributes = memory.u64(module + offsets["module.sect_attrs"])
        if not attributes:
            return {}
        # A table of pointers to each section's attribute, ended by a null pointer.
        group = offsets["module_sect_attrs.grp"] + offsets["attribute_group.bin_attrs"]
        table = memory.u64(attributes + group)
        name = offsets["bin_attribute.attr"] + offsets["attribute.name"]
        address = self._processor.layout.section_address
        found = {}
        for place in range(table, table + 8 * _MOST_SECTIONS, 8):
            attribute = memory.u64(place)
            if not attribute:
                break
            text = memory.string(memory.u64(attribute + name)).decode("utf-8", "replace")
            found[text] = memory.u64(attribute + address)
        return found
