"""Seeing where a kernel puts a module: its sections, and which of its pages may do what.

Sources: ``arch/x86/kernel/module.c: apply_relocate_add`` (its arguments hold the section headers
with the addresses decided on), ``kernel/module/main.c: do_init_module`` (permissions are set by
then), Intel SDM volume 3, 4.5 (page table entries).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unicorn import x86_const as x86

from lkm.elf.types import SectionFlag
from lkm.kernel.emulated.hardware.death import NotMapped
from lkm.kernel.emulated.hardware.memory import PAGE, WRITABLE
from lkm.kernel.emulated.hardware.processor import Processor
from lkm.kernel.emulated.watch.entry_points import Steering
from lkm.module.image import ModuleImage
from lkm.vmlinux.image import VmlinuxImage

_RELOCATING, _INITIALISING = "apply_relocate_add", "do_init_module"
_NO_EXECUTE = 1 << 63
_HEADER_SIZE, _FLAGS_FIELD, _ADDRESS_FIELD = 64, 8, 16  # Elf64_Shdr: sh_flags, sh_addr
_NAME_SIZE = 64


@dataclass(frozen=True, slots=True)
class SectionPlace:
    """A section of a module and where it was put."""

    name: str
    address: int
    size: int


class MemoryWatch:
    """Watches one module being put into memory, until it is ended.

    ``linked`` is called when its sections have their places and nothing is relocated yet,
    ``protected`` when its init is about to run. Neither may make a system call.
    """

    def __init__(
        self,
        processor: Processor,
        kernel: VmlinuxImage,
        image: ModuleImage,
        *,
        linked: Callable[[], None],
        protected: Callable[[], None],
    ) -> None:
        self._processor = processor
        self._image = image
        self._linked = linked
        self._protected = protected
        self._steering = Steering(processor)
        self.sections: tuple[SectionPlace, ...] = ()
        """The sections that are in memory, by their addresses; none before they are linked."""
        symbols = kernel.kallsyms
        self._steering.watch(symbols[_RELOCATING], 1, self._relocating)
        self._steering.watch(symbols[_INITIALISING], 1, self._initialising)

    def _relocating(self, _address: int) -> None:
        if self.sections or not self._is_ours(x86.UC_X86_REG_R8):
            return
        headers = self._processor.register(x86.UC_X86_REG_RDI)
        found = []
        for section in self._image.elf.sections:
            header = headers + section.index * _HEADER_SIZE
            # The kernel's copy: it takes .modinfo out, and the symbol table in.
            flags = self._processor.memory.u64(header + _FLAGS_FIELD)
            if section.size and flags & SectionFlag.ALLOC:
                address = self._processor.memory.u64(header + _ADDRESS_FIELD)
                found.append(SectionPlace(section.name, address, section.size))
        self.sections = tuple(sorted(found, key=lambda each: each.address))
        self._linked()

    def _initialising(self, _address: int) -> None:
        if self.sections and self._is_ours(x86.UC_X86_REG_RDI):
            self._protected()

    def _is_ours(self, register: int) -> bool:
        module = self._processor.register(register)
        at = module + self._processor.layout.offsets["module.name"]
        name = self._processor.memory.string(at, _NAME_SIZE).decode("utf-8", "replace")
        return name == (self._image.modinfo.get("name") or self._image.name)

    def permissions(self, address: int) -> str:
        """Return ``r-x`` and the like of the page at ``address``; empty where none is mapped."""
        try:
            _, entry, _ = self._processor.memory.entry(address)
        except NotMapped:
            return ""
        return f"r{'w' if entry & WRITABLE else '-'}{'-' if entry & _NO_EXECUTE else 'x'}"

    def read(self, address: int, size: int) -> bytes:
        """Return bytes of the kernel's memory; none where a page is not mapped."""
        try:
            return bytes(self._processor.memory.read(address, size))
        except NotMapped:
            return b""

    def pages(self) -> list[int]:
        """Return the addresses of the pages that the sections lie in, in order."""
        found = {
            page
            for each in self.sections
            for page in range(each.address & -PAGE, each.address + each.size, PAGE)
        }
        return sorted(found)

    def end(self) -> None:
        """Watch no more."""
        self._steering.end()
