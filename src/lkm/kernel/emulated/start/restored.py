"""A machine restored from a snapshot, and put back to it in place."""

from __future__ import annotations

import copy
import mmap

import unicorn
from unicorn import x86_const as x86

from lkm.kernel.emulated.arena import Arena
from lkm.kernel.emulated.hardware.cpuid import PROCESSOR_MODEL
from lkm.kernel.emulated.hardware.page_map import address_of, changed_pages, map_again
from lkm.kernel.emulated.hardware.processor import Processor
from lkm.kernel.emulated.modprobe import ModprobeTask
from lkm.kernel.emulated.start.snapshot import Snapshot
from lkm.kernel.emulated.tasks import Tasks
from lkm.kernel.emulated.watch.module_load import ModuleLoads

_TRANSLATION_BUFFER = 64 << 20
"""Bytes for translated code; when full, Unicorn starts anew."""


class Restored:
    """The processor, the tasks and the arena of one machine."""

    def __init__(self, snapshot: Snapshot, modprobe: ModprobeTask) -> None:
        self._snapshot = snapshot
        self._modprobe = modprobe
        self._ram = snapshot.map()
        self._pointer = address_of(self._ram)
        view = memoryview(self._ram)
        uc = new_engine()
        uc.mem_map_ptr(0, snapshot.ram_size, unicorn.UC_PROT_ALL, self._pointer)
        state = snapshot.state
        self.processor = Processor(
            uc, view, state.layout, state.context_layout, copy.deepcopy(state.devices)
        )
        self.processor.context.restore(state.context)
        self.module_loads = ModuleLoads(self.processor)
        self.arena = Arena(uc, view, state.arena)
        modprobe.memory = self.processor.memory
        self.tasks = Tasks(self.processor, modprobe.program, state.main)

    def rewind(self) -> None:
        """Go back to the snapshot, keeping the code translated so far where it still holds."""
        state, processor = self._snapshot.state, self.processor
        stale = self._changed_text()
        map_again(self._pointer, self._snapshot.ram_size, self._snapshot.descriptor)
        processor.devices.state = copy.deepcopy(state.devices)
        processor.rewound()
        processor.context.restore(state.context)
        # Writing CR3 empties the TLB.
        processor.uc.reg_write(x86.UC_X86_REG_CR3, processor.register(x86.UC_X86_REG_CR3))
        if stale is None:
            processor.uc.ctl_flush_tb()
        for start in stale or ():
            processor.forget_code(start, mmap.PAGESIZE)
        self.tasks = Tasks(processor, self._modprobe.program, state.main)
        self.arena.clear()
        self._modprobe.desk.clear()
        self.module_loads.listener = None

    def _changed_text(self) -> list[int] | None:
        """Return the virtual addresses of kernel text pages that were patched since the snapshot.

        The kernel patches itself (static keys, ftrace); what was translated from such a page must
        not be run once the page is as before.
        """
        layout = self.processor.layout
        start = layout.symbols["_text"] - layout.image_base
        end = layout.symbols["_etext"] - layout.image_base
        changed = changed_pages(self._pointer + start, end - start)
        if changed is None:
            return None
        return [layout.symbols["_text"] + offset for offset in changed]

    def close(self) -> None:
        """Free the machine's memory; the emulator itself goes when Python collects its cycles."""
        self.processor.close()
        if hasattr(mmap, "MADV_DONTNEED"):
            self._ram.madvise(mmap.MADV_DONTNEED)


def new_engine() -> unicorn.Uc:
    """Return an emulator in 64-bit mode, of a processor that has SMEP and SMAP."""
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    uc.ctl_set_tcg_buffer_size(_TRANSLATION_BUFFER)
    uc.ctl_set_cpu_model(PROCESSOR_MODEL)
    return uc
