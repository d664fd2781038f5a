"""Naming places while the machine stands still: code by function and line, data by symbol."""

from __future__ import annotations

import contextlib

from unicorn import x86_const as x86

from lkm.kernel.emulated.hardware.death import NotMapped
from lkm.kernel.emulated.hardware.processor import Processor
from lkm.kernel.emulated.watch.findings import Site
from lkm.kernel.emulated.watch.module_map import ModuleMap
from lkm.vmlinux.image import VmlinuxImage

_STACK_WORDS = 256
_CALL = 0xE8
_INDIRECT_CALL = 0xFF
_INDIRECT_SIZES = (2, 3, 4, 6, 7)
"""Sizes of ``call *…``: to a register, to memory with no, a short or a long displacement."""


class CodePlaces:
    """The kernel's symbols and one module's map; ``map`` is ``None`` until the module comes."""

    def __init__(self, processor: Processor, kernel: VmlinuxImage) -> None:
        self._processor = processor
        self._kernel = kernel
        self.map: ModuleMap | None = None
        self.jumped: dict[int, Site] = {}
        """By task: the call that it made by jumping, and that has not come back."""

    def site(self, address: int) -> Site:
        """Return the place of an address of code."""
        found = self.map.site(address) if self.map else None
        if found is not None:
            return found
        if address >= self._processor.layout.modules_start:
            return Site(hex(address), 0)  # in a module that is not watched
        known = self._kernel.kallsyms.at(address)
        return Site(known[0].name, known[1]) if known else Site(hex(address), 0)

    def here(self) -> Site:
        """Return where the processor is."""
        return self.site(self._processor.place)

    def caller(self) -> Site | None:
        """Return the innermost call on the stack that the module made."""
        if self.map is None:
            return None
        if self.jumped and (jumped := self.jumped.get(self._processor.current[0])):
            return jumped
        stack = self._processor.register(x86.UC_X86_REG_RSP)
        with contextlib.suppress(NotMapped):
            for index in range(_STACK_WORDS):
                address = self._processor.memory.u64(stack + 8 * index)
                found = self.map.site(address - 1)
                if found is not None and self._follows_call(address):
                    return found
        return None

    def in_text(self, address: int) -> bool:
        """Whether an address is in the module's code."""
        return self.map is not None and self.map.site(address) is not None

    def name(self, address: int) -> str:
        """Return the name of the variable at an address, its address where it has none."""
        found = self.map.variable(address) if self.map else None
        if found is not None:
            return found
        if address < self._processor.layout.modules_start:
            known = self._kernel.kallsyms.at(address)
            if known is not None and known[1] < 65536:
                symbol, offset = known
                return f"{symbol.name}+{offset:#x}" if offset else symbol.name
        return f"{address:#x}"

    def function(self, address: int) -> str:
        """Return the name of the function at an address, with ``()``."""
        return f"{self.site(address).function}()"

    def _follows_call(self, address: int) -> bool:
        try:
            code = self._processor.memory.read(address - 7, 7)
        except NotMapped:
            return False
        if code[-5] == _CALL:
            return True
        return any(
            code[-size] == _INDIRECT_CALL and code[1 - size] >> 3 & 7 == 2
            for size in _INDIRECT_SIZES
        )
