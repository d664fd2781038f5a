"""The processor's answer to CPUID, without the random numbers that it would have.

RDRAND gives other numbers in each run, and the kernel mixes them into all its own: the machine
would not do the same twice.
"""

from __future__ import annotations

import functools

import unicorn
from unicorn import x86_const as x86

_REGISTERS = (x86.UC_X86_REG_EAX, x86.UC_X86_REG_EBX, x86.UC_X86_REG_ECX, x86.UC_X86_REG_EDX)
_CODE = b"\x0f\xa2"
_FEATURES = 1
_RDRAND = 1 << 30  # CPUID.01H:ECX; arch/x86/include/asm/cpufeatures.h: X86_FEATURE_RDRAND
_PLACE = 0x1000


PROCESSOR_MODEL: int = x86.UC_CPU_X86_BROADWELL
"""Unicorn's number of the processor: the first that has SMAP."""


def answer_cpuid(uc: unicorn.Uc, _data: object) -> int:
    """Answer the leaf of features, for Unicorn's hook of the instruction; 0: let it answer."""
    if uc.reg_read(x86.UC_X86_REG_EAX) != _FEATURES:
        return 0
    for register, value in zip(_REGISTERS, _features(), strict=True):
        uc.reg_write(register, value)
    return 1


@functools.cache
def _features() -> tuple[int, ...]:
    """Return what the processor answers, in an engine of its own, without RDRAND."""
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    uc.ctl_set_cpu_model(PROCESSOR_MODEL)
    uc.mem_map(_PLACE, 0x1000)
    uc.mem_write(_PLACE, _CODE)
    uc.reg_write(x86.UC_X86_REG_EAX, _FEATURES)
    uc.emu_start(_PLACE, _PLACE + len(_CODE))
    eax, ebx, ecx, edx = (uc.reg_read(register) for register in _REGISTERS)
    return eax, ebx, ecx & ~_RDRAND, edx
