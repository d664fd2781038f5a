"""A 2 MiB executable page of ours within reach of kernel and module, which the kernel ignores.

One large page between the kernel image and the modules holds code of ours, in reach of both. It is
mapped by writing the kernel's page tables, as a debugger would.
"""

from __future__ import annotations

import unicorn

from lkm.errors import UsageError
from lkm.kernel.emulated.hardware.death import NotMapped
from lkm.kernel.emulated.hardware.memory import LARGE, PAGE, PRESENT, WRITABLE
from lkm.kernel.emulated.hardware.processor import Processor

SIZE = 2 << 20
PHYSICAL = 1 << 32
"""Behind all memory and devices that the kernel was told of."""

_ACCESSED_DIRTY_GLOBAL = 0x160
_LARGE_SHIFT = 21
_SLOTS = 256
_FRAME = 0xFFFFFFFFFF000


class Workshop:
    """One large page of physical memory; ``attach`` maps it (again after each rewind)."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self.address = 0
        self._tables_taken = 0
        processor.uc.mem_map(PHYSICAL, 2 * SIZE, unicorn.UC_PROT_ALL)

    def attach(self) -> int:
        """Map it at a free place below the modules and return its virtual address."""
        memory = self._processor.memory
        start = self._processor.layout.modules_start
        for slot in range(1, _SLOTS):
            self.address = start + slot * SIZE
            at, value = memory.slot(self.address, _LARGE_SHIFT)
            if not value & PRESENT or value & _FRAME == PHYSICAL:
                entry = PHYSICAL | PRESENT | WRITABLE | LARGE | _ACCESSED_DIRTY_GLOBAL
                self._processor.uc.mem_write(at, entry.to_bytes(8, "little"))
                return self.address
        raise NotMapped(start)

    def take_tables(self, count: int) -> int:
        """Return physical memory for ``count`` page tables of ours, not used since the rewind."""
        start = self._tables_taken
        self._tables_taken += count * PAGE
        if self._tables_taken > SIZE:
            raise UsageError(
                "guarded memory was asked for too often", hint="rewind the machine before"
            )
        return PHYSICAL + SIZE + start

    def rewound(self) -> None:
        """Know that nothing is mapped any more."""
        self._tables_taken = 0

    def write(self, offset: int, data: bytes) -> None:
        """Write at an offset from the start."""
        self._processor.uc.mem_write(PHYSICAL + offset, data)
