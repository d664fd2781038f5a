"""Two fields of Unicorn's processor state that its interface does not give.

Unicorn keeps ``env->error_code`` and ``env->old_exception`` to itself. The first is needed to
deliver a fault as the processor does; the second is never reset after a fault was handled, so that
the next page fault would become a double fault. Both are found in the opaque saved context by
provoking faults whose values are known, never by a version number.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import unicorn
from unicorn import x86_const as x86

from lkm.errors import UnsupportedError

NO_EXCEPTION = -1
_PAGE_FAULT = 14
_CODE, _TABLES = 0x1000, 0x30000
_TEXT = 0xFFFFFFFF80000000
_LOAD, _STORE = b"\x48\x8b\x07", b"\x48\x89\x07"  # mov rax, [rdi]; mov [rdi], rax
_HALT = b"\xf4"


@dataclass(frozen=True, slots=True)
class ContextLayout:
    """Byte offsets in a saved context of ``size`` bytes."""

    size: int
    error_code: int
    old_exception: int


def probe() -> ContextLayout:
    """Find the offsets; raises ``UnsupportedError`` when this Unicorn keeps its state otherwise."""
    faults = (
        _fault(_LOAD, 0x1234),
        _fault(_STORE, 0x1234),
        _fault(_STORE, 0xFFFFFFFFFF001000),
    )
    size = len(faults[0][0])
    old = [
        at
        for at in range(0, size - 3, 4)
        if all(_int(b, at) == NO_EXCEPTION and _int(a, at) == _PAGE_FAULT for b, a in faults)
    ]
    wanted = (0, 2, 2)  # error codes of a read and two writes to pages that are not there
    error = [
        at
        for at in range(0, size - 3, 4)
        if all(_int(a, at) == code for (_, a), code in zip(faults, wanted, strict=True))
    ]
    if not old or not error:
        raise UnsupportedError(
            f"Unicorn {unicorn.__version__} keeps its exception state where lkm cannot find it",
            hint="pip install 'unicorn>=2.1.4,<2.2'",
        )
    return ContextLayout(size, error[0], old[0])


def _int(context: bytes, offset: int) -> int:
    value: int = struct.unpack_from("<i", context, offset)[0]
    return value


def _fault(instruction: bytes, address: int) -> tuple[bytes, bytes]:
    """Return the context before and after a page fault at ``address``."""
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    uc.mem_map(0, 1 << 20)
    for at, entry in ((8 * 511, 0x1003), (0x1000 + 8 * 510, 0x2003)):
        uc.mem_write(_TABLES + at, struct.pack("<Q", _TABLES + entry))
    uc.mem_write(_TABLES + 0x2000, struct.pack("<Q", 0x83))
    uc.mem_write(_CODE, instruction + _HALT)
    enter_long_mode(uc, _TABLES)
    uc.reg_write(x86.UC_X86_REG_RDI, address)
    before, after = bytes(uc.context_save()), []

    def stop(uc: unicorn.Uc, _vector: int, _data: object) -> None:
        after.append(bytes(uc.context_save()))
        uc.emu_stop()

    uc.hook_add(unicorn.UC_HOOK_INTR, stop)
    uc.emu_start(_TEXT + _CODE, 0)
    return before, after[0]


def enter_long_mode(uc: unicorn.Uc, page_tables: int) -> None:
    """Switch paging and 64-bit mode on, as a boot loader leaves the processor."""
    uc.reg_write(x86.UC_X86_REG_CR3, page_tables)
    uc.reg_write(x86.UC_X86_REG_CR4, 0x20 | 0x200 | 0x400)  # PAE, OSFXSR, OSXMMEXCPT
    uc.reg_write(x86.UC_X86_REG_MSR, (0xC0000080, 0x501))  # EFER: SCE, LME, LMA
    uc.reg_write(x86.UC_X86_REG_CR0, 0x80050033)


class Context:
    """The processor's saved state as one buffer, read and patched in place."""

    def __init__(self, uc: unicorn.Uc, layout: ContextLayout) -> None:
        self._uc = uc
        self._saved = uc.context_save()
        if self._saved.size != layout.size:
            raise UnsupportedError(
                f"Unicorn's state has {self._saved.size} bytes, expected {layout.size}"
            )
        address = ctypes.cast(self._saved.context, ctypes.c_void_p).value
        assert address is not None
        self._buffer = (ctypes.c_char * layout.size).from_address(address)
        self._error = ctypes.c_int32.from_address(address + layout.error_code)
        self._old = ctypes.c_int32.from_address(address + layout.old_exception)

    def acknowledge(self) -> int:
        """Mark the current exception as handled and return its error code."""
        self._uc.context_update(self._saved)
        if self._old.value != NO_EXCEPTION:
            self._old.value = NO_EXCEPTION
            self._uc.context_restore(self._saved)
        return self._error.value & 0xFFFFFFFF

    def save(self) -> bytes:
        """Return the processor's state."""
        self._uc.context_update(self._saved)
        return self._buffer.raw

    def restore(self, state: Sequence[int] | bytes) -> None:
        """Set the processor to a state that ``save`` returned."""
        self._buffer.raw = bytes(state)
        self._uc.context_restore(self._saved)
