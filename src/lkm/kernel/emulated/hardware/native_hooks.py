"""Hooks whose callback is machine code: what happens too often for Python.

``uc_hook_add`` calls a C function. On an x86-64 host that function can be a few bytes of code in an
executable mapping, so that Python is reached only when there is something to decide; elsewhere
Python does the counting too, with the same results. No exception can leave a callback that
machine code calls: ``action`` must catch its own.

The code, as C (gcc -O2 -fPIC -fcf-protection=none), position independent::

    void counter(void *uc, uint64_t address, uint32_t size, struct counter *c)
    {
        if (++c->count >= c->limit)
            c->action(uc, address, size, c);
    }

    void atomic(void *uc, uint64_t address, uint32_t size, struct atomic *c)
    {
        uint64_t flags = c->wanted;

        if (!(*c->word & c->mask)) {
            c->reg_read(uc, c->flags, &flags);
            if (flags & c->wanted)
                return;
        }
        c->action(uc, address, size, c);
    }
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import sys
from collections.abc import Callable
from typing import Any

import unicorn
from unicorn import x86_const as x86
from unicorn.unicorn_py3.unicorn import uclib

_COUNTER = bytes.fromhex("488b014883c001488901483b41087208ff61100f1f440000c3")
_ATOMIC = bytes.fromhex(
    "41554189d541544989f4554889fd534889cb4883ec18488b41284889442408488b41108b004823411875168b71"
    "20488d542408ff5108488b43284823442408750e4889d94489ea4c89e64889efff134883c4185b5d415c415dc3"
)
_CALLBACK = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p
)
_ATOMIC_AT = 64
_INTERRUPTS_ENABLED = 0x200

Action = Callable[[int], None]
"""What is called with the address where the processor is."""


class _Counter(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_uint64),
        ("limit", ctypes.c_uint64),
        ("action", ctypes.c_void_p),
    )
    count: int
    limit: int


class _Atomic(ctypes.Structure):
    _fields_ = (
        ("action", ctypes.c_void_p),
        ("reg_read", ctypes.c_void_p),
        ("word", ctypes.c_void_p),
        ("mask", ctypes.c_uint64),
        ("flags", ctypes.c_int64),
        ("wanted", ctypes.c_uint64),
    )


def native() -> bool:
    """Whether this host runs the machine code."""
    return platform.machine() in ("x86_64", "AMD64") and sys.maxsize > 2**32


@functools.cache
def _code_page() -> tuple[int, mmap.mmap]:
    """Return the address of the one mapping with the code, and the mapping, to be kept."""
    protection = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=protection)
    page.write(_COUNTER)
    page.seek(_ATOMIC_AT)
    page.write(_ATOMIC)
    return ctypes.addressof(ctypes.c_char.from_buffer(page)), page


class BlockCounter:
    """Counts the basic blocks run in a range of addresses; from ``limit`` on calls ``action``."""

    def __init__(self, uc: unicorn.Uc, begin: int, end: int, limit: int, action: Action) -> None:
        self._uc = uc
        self._state = _Counter(0, limit)
        if native():
            # The callback and the state must live as long as the hook.
            self._callback = _CALLBACK(lambda _uc, address, _size, _data: action(address))
            self._state.action = ctypes.cast(self._callback, ctypes.c_void_p).value
            code = _code_page()[0]
            self._handle = _add(uc, unicorn.UC_HOOK_BLOCK, code, self._state, (begin, end))
            return

        def counting(_uc: unicorn.Uc, address: int, _size: int, _data: object) -> None:
            self._state.count += 1
            if self._state.count >= self._state.limit:
                action(address)

        self._handle = uc.hook_add(unicorn.UC_HOOK_BLOCK, counting, None, begin, end)

    @property
    def count(self) -> int:
        """Blocks since the last ``restart``."""
        return self._state.count

    def restart(self, limit: int) -> None:
        """Count from 0 again."""
        self._state.count, self._state.limit = 0, limit

    def postpone(self, blocks: int) -> None:
        """Call ``action`` again after so many blocks more."""
        self._state.limit = self._state.count + blocks

    def close(self) -> None:
        """Take the hook away."""
        _remove(self._uc, self._handle)


class AtomicContextHook:
    """Calls ``action`` at an address when preemption or interrupts are off there.

    ``word`` is where in this process the kernel's preempt_count lies, ``mask`` its bits that count.
    """

    def __init__(self, uc: unicorn.Uc, address: int, word: int, mask: int, action: Action) -> None:
        self._uc = uc
        if native():
            self._callback = _CALLBACK(lambda _uc, place, _size, _data: action(place))
            self._state = _Atomic(
                ctypes.cast(self._callback, ctypes.c_void_p).value,
                ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p).value,
                word,
                mask,
                x86.UC_X86_REG_EFLAGS,
                _INTERRUPTS_ENABLED,
            )
            code = _code_page()[0] + _ATOMIC_AT
            self._handle = _add(uc, unicorn.UC_HOOK_CODE, code, self._state, (address, address))
            return
        count = ctypes.c_uint32.from_address(word)

        def looking(_uc: unicorn.Uc, place: int, _size: int, _data: object) -> None:
            enabled = uc.reg_read(x86.UC_X86_REG_EFLAGS) & _INTERRUPTS_ENABLED
            if count.value & mask or not enabled:
                action(place)

        self._handle = uc.hook_add(unicorn.UC_HOOK_CODE, looking, None, address, address)

    def close(self) -> None:
        """Take the hook away."""
        _remove(self._uc, self._handle)


def _add(
    uc: unicorn.Uc, kind: int, code: int, state: ctypes.Structure, where: tuple[int, int]
) -> int:
    handle = ctypes.c_size_t()
    engine: Any = uc._uch
    error = uclib.uc_hook_add(
        engine,
        ctypes.byref(handle),
        kind,
        ctypes.c_void_p(code),
        ctypes.cast(ctypes.byref(state), ctypes.c_void_p),
        *where,
    )
    if error:
        raise unicorn.UcError(error)
    return handle.value


def _remove(uc: unicorn.Uc, handle: int) -> None:
    if not native():
        uc.hook_del(handle)  # which also forgets its callback
        return
    engine: Any = uc._uch
    error = uclib.uc_hook_del(engine, handle)
    if error:
        raise unicorn.UcError(error)
