"""Seeing the kernel work on a module: which of its own functions it comes to, and what it logs.

Source of the log's records: ``kernel/printk/printk.c: vprintk_store``, which reserves room
(``prb_reserve``), writes the text there and gives it away (``prb_final_commit``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from unicorn import x86_const as x86

from lkm.kernel.emulated.hardware.death import NotMapped
from lkm.kernel.emulated.hardware.processor import Processor
from lkm.kernel.emulated.watch.entry_points import Steering
from lkm.kernel.log import LogRecord
from lkm.vmlinux.image import VmlinuxImage

_RESERVED, _COMMITTED = "prb_reserve", "prb_final_commit"
_LONGEST = 8192


class LoadWay:
    """Tells of functions entered and of records logged, as it happens, until it is ended.

    Of ``functions`` those count that the kernel has by that name; the compiler may have made one
    part of its caller. Listeners must not make system calls: the kernel is in the midst of one.
    """

    def __init__(
        self,
        processor: Processor,
        kernel: VmlinuxImage,
        *,
        functions: Iterable[str],
        entered: Callable[[str], None],
        logged: Callable[[LogRecord], None],
    ) -> None:
        self._processor = processor
        self._steering = Steering(processor)
        self._logged = logged
        self._record = 0
        symbols = kernel.kallsyms
        self.functions = tuple(name for name in functions if name in symbols)
        """The functions that the kernel has."""
        names = {symbols[name]: name for name in self.functions}
        for start in tuple(names):
            self._steering.watch(start, 1, lambda address: entered(names[address]))
        if _RESERVED in symbols and _COMMITTED in symbols:
            self._offsets = _Offsets(kernel)
            self._steering.watch(symbols[_RESERVED], 1, self._reserved)
            self._steering.watch(symbols[_COMMITTED], 1, self._committed)

    def _reserved(self, _address: int) -> None:
        self._record = self._processor.register(x86.UC_X86_REG_RDX)

    def _committed(self, _address: int) -> None:
        record, self._record = self._record, 0
        if not record:
            return
        try:
            found = self._read(record)
        except NotMapped:
            return  # the log itself tells it afterwards
        self._logged(found)

    def _read(self, record: int) -> LogRecord:
        memory, at = self._processor.memory, self._offsets
        info, text = memory.u64(record + at.info), memory.u64(record + at.text)
        size = min(memory.u32(info + at.length) & 0xFFFF, _LONGEST)
        facility, level = memory.read(info + at.facility, 2)
        return LogRecord(
            bytes(memory.read(text, size)).decode("utf-8", "replace"),
            level=level >> 5,  # five bits of flags lie below
            facility=facility,
            sequence=memory.u64(info + at.sequence),
            microseconds=memory.u64(info + at.time) // 1000,
        )

    def end(self) -> None:
        """Tell no more."""
        self._steering.end()


class _Offsets:
    """Where ``struct printk_record`` and ``struct printk_info`` have what is read of them."""

    def __init__(self, kernel: VmlinuxImage) -> None:
        btf = kernel.btf
        self.info = btf.offset("printk_record", "info")
        self.text = btf.offset("printk_record", "text_buf")
        self.sequence = btf.offset("printk_info", "seq")
        self.time = btf.offset("printk_info", "ts_nsec")
        self.length = btf.offset("printk_info", "text_len")
        self.facility = btf.offset("printk_info", "facility")
