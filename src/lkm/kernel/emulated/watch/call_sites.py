"""The direct calls of a module to functions outside it.

Found through its relocations: ``call`` and ``jmp`` with a 32-bit displacement to a symbol that the
module does not define. What the kernel has rewritten since (ftrace, static calls, alternatives) no
longer has that form and is passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from lkm.kernel.emulated.hardware.memory import MASK, MachineMemory
from lkm.kernel.emulated.watch.module_map import ModuleMap
from lkm.module import relocations
from lkm.module.image import ModuleImage

_R_X86_64_PC32, _R_X86_64_PLT32 = 2, 4
_CALL, _JUMP = 0xE8, 0xE9
_COMPILER_HELPERS = ("__x86_", "__fentry__", "__SCT__", "__SCK__", "__stack_chk_fail")


@dataclass(frozen=True, slots=True)
class CallSite:
    """A call instruction: where its displacement is, whom it calls, and where it comes back.

    ``is_jump``: the function's last call, made by jumping, leaves no trace on the stack.
    """

    displacement: int
    function: str
    target: int
    is_jump: bool = False

    @property
    def instruction(self) -> int:
        """The address of the call."""
        return self.displacement - 1

    @property
    def following(self) -> int:
        """The address behind it."""
        return self.displacement + 4


def find(image: ModuleImage, layout: ModuleMap, memory: MachineMemory) -> Iterator[CallSite]:
    """Return the calls of a module that is laid out in ``memory``."""
    starts = layout.addresses()
    for table in relocations.relocation_sections(image.elf):
        start = starts.get(table.info)
        if start is None:
            continue
        for entry in relocations.entries(image.elf, table):
            if entry.type not in (_R_X86_64_PC32, _R_X86_64_PLT32) or not entry.offset:
                continue
            symbol = image.elf.symbol_at(entry.symbol)
            if not symbol.undefined or symbol.name.startswith(_COMPILER_HELPERS):
                continue
            site = start + entry.offset
            opcode, displacement = struct.unpack("<Bi", memory.read(site - 1, 5))
            if opcode in (_CALL, _JUMP):
                target = (site + 4 + displacement) & MASK
                yield CallSite(site, symbol.name, target, opcode == _JUMP)
