"""Read the log of a dead machine through the kernel's own functions, on the stack of PID 1.

Source: ``kernel/printk/printk.c: kmsg_dump_get_line``, made for crash dumpers: no locks, no
sleep; ``kernel/kallsyms.c: sprint_symbol``, which traces use.
"""

from __future__ import annotations

import contextlib

import unicorn
from unicorn import x86_const as x86

from lkm.kernel.emulated.hardware.death import MachineDeath
from lkm.kernel.emulated.hardware.layout import LOG_LINE, LOG_REWIND
from lkm.kernel.emulated.hardware.memory import MASK
from lkm.kernel.emulated.hardware.processor import Processor
from lkm.kernel.emulated.tasks import FUNCTION_ARGUMENTS

_SCRATCH, _LINE, _ITERATOR, _LENGTH = 0x1000, 1024, 0, 256
_KERNEL_FLAGS = 2
_MOST_LINES = 20_000


def log(processor: Processor, stack: int) -> tuple[str, ...]:
    """Return the lines of the kernel's log (``<6>[    1.234567] text``), none if it cannot say.

    ``stack`` is the top of a kernel stack that can be overwritten.
    """
    found: list[str] = []
    with contextlib.suppress(unicorn.UcError, MachineDeath):
        _read_lines(processor, stack, found)
    return tuple(found)


def symbol(processor: Processor, stack: int, address: int) -> str:
    """Return ``function+0x12/0x34 [module]`` for an address, as the kernel names it."""
    base = (stack - _SCRATCH) & ~15
    try:
        _call(processor, base, processor.layout.symbols["sprint_symbol"], base, address)
        return processor.memory.string(base).decode("utf-8", "replace")
    except (unicorn.UcError, MachineDeath):
        return hex(address)


def _read_lines(processor: Processor, stack: int, found: list[str]) -> None:
    memory, symbols = processor.memory, processor.layout.symbols
    base = (stack - _SCRATCH) & ~15
    iterator, length, line = base + _ITERATOR, base + _LENGTH, base + 2 * _LENGTH
    memory.write(iterator, processor.layout.log_iterator)
    _call(processor, base, symbols[LOG_REWIND], iterator)
    while len(found) < _MOST_LINES:
        arguments = (iterator, 1, line, _LINE, length)
        if not _call(processor, base, symbols[LOG_LINE], *arguments) & 0xFF:
            break
        text = memory.read(line, min(memory.u64(length), _LINE)).decode("utf-8", "replace")
        found += text.rstrip("\n").split("\n")


def _call(processor: Processor, stack: int, function: int, *arguments: int) -> int:
    write, stop = processor.uc.reg_write, processor.layout.user_return
    processor.memory.write_u64(stack - 8, stop)
    write(x86.UC_X86_REG_RSP, stack - 8)
    write(x86.UC_X86_REG_EFLAGS, _KERNEL_FLAGS)
    for name, value in zip(FUNCTION_ARGUMENTS, arguments, strict=False):
        write(name, value & MASK)
    processor.emulate(function)
    if processor.register(x86.UC_X86_REG_RIP) != stop + 1:
        raise MachineDeath("the log cannot be read")
    return processor.register(x86.UC_X86_REG_RAX)
