"""Delivering exceptions and interrupts, which Unicorn leaves to its user.

Source: Intel SDM volume 3, 6.12 "Exception and interrupt handling", 6.14 "in 64-bit mode". All of
them happen in ring 0, for ring 3 never runs; the handlers are the kernel's own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import unicorn
from unicorn import x86_const as x86

from lkm.kernel.emulated.hardware.death import NotMapped, TripleFault
from lkm.kernel.emulated.hardware.engine_context import Context
from lkm.kernel.emulated.hardware.memory import MachineMemory

INVALID_OPCODE, DOUBLE_FAULT, PAGE_FAULT = 6, 8, 14
INTERRUPTS_ENABLED = 0x200
_WITH_ERROR_CODE = frozenset({8, 10, 11, 12, 13, 14, 17})
_INTERRUPT_GATE = 14
_KERNEL_STACK_SEGMENT = 0x18
_TRAP_FLAG, _NESTED_TASK = 0x100, 0x4000
_IST_IN_TSS = 0x24


class Exceptions:
    """Delivers what the processor raises, and interrupts, through the kernel's own tables."""

    def __init__(self, uc: unicorn.Uc, memory: MachineMemory, context: Context) -> None:
        self._uc = uc
        self._memory = memory
        self._context = context
        self.on_page_fault: Callable[[int, int], None] | None = None
        """Called with the address and the error code before a page fault is delivered."""

    def attach(self, hook: Callable[..., int]) -> None:
        """Take over what Unicorn raises; ``hook`` is the processor's."""
        hook(unicorn.UC_HOOK_INTR, self._raised)
        hook(unicorn.UC_HOOK_INSN_INVALID, self._invalid)

    @property
    def enabled(self) -> bool:
        """Whether the processor takes interrupts."""
        return bool(self._uc.reg_read(x86.UC_X86_REG_EFLAGS) & INTERRUPTS_ENABLED)

    def deliver(self, vector: int, error_code: int | None = None) -> None:
        """Push the frame and continue at the handler; a stack that is not there is a #DF."""
        read, write = self._uc.reg_read, self._uc.reg_write
        flags, old_stack = read(x86.UC_X86_REG_EFLAGS), read(x86.UC_X86_REG_RSP)
        handler, stack_index, kind = self._gate(vector)
        stack = old_stack
        if stack_index:
            task_state = read(x86.UC_X86_REG_TR)[1]
            stack = self._memory.u64(task_state + _IST_IN_TSS + 8 * (stack_index - 1))
        values = [] if error_code is None else [error_code]
        values += [read(x86.UC_X86_REG_RIP), read(x86.UC_X86_REG_CS), flags, old_stack]
        values.append(_KERNEL_STACK_SEGMENT)
        stack = (stack & ~15) - 8 * len(values)
        try:
            self._memory.write(stack, struct.pack(f"<{len(values)}Q", *values))
        except NotMapped:
            if vector == DOUBLE_FAULT:
                raise TripleFault from None
            self.deliver(DOUBLE_FAULT, 0)
            return
        write(x86.UC_X86_REG_RSP, stack)
        cleared = _TRAP_FLAG | _NESTED_TASK
        cleared |= INTERRUPTS_ENABLED if kind == _INTERRUPT_GATE else 0
        write(x86.UC_X86_REG_EFLAGS, flags & ~cleared)
        write(x86.UC_X86_REG_RIP, handler)

    def _gate(self, vector: int) -> tuple[int, int, int]:
        """Return the handler, the interrupt-stack index and the type of an IDT entry."""
        base = self._uc.reg_read(x86.UC_X86_REG_IDTR)[1]
        low, high = struct.unpack("<QQ", self._memory.read(base + 16 * vector, 16))
        handler = (low & 0xFFFF) | (low >> 32 & 0xFFFF0000) | (high & 0xFFFFFFFF) << 32
        return handler, low >> 32 & 7, low >> 40 & 15

    def _raised(self, uc: unicorn.Uc, vector: int, _data: object) -> None:
        error_code = self._context.acknowledge()
        if vector == PAGE_FAULT and self.on_page_fault:
            self.on_page_fault(uc.reg_read(x86.UC_X86_REG_CR2), error_code)
        self.deliver(vector, error_code if vector in _WITH_ERROR_CODE else None)

    def _invalid(self, _uc: unicorn.Uc, _data: object) -> bool:
        self.deliver(INVALID_OPCODE)
        return True
