"""Counting the instructions that an emulated machine executes, by a hook in C."""

from __future__ import annotations

import ctypes
import functools
import subprocess
from pathlib import Path

import unicorn
from unicorn.unicorn_py3.unicorn import uclib

from lkm.kernel.emulated.machine import EmulatedMachine

_SOURCE = """
#include <stdint.h>
void count(void *engine, uint64_t address, uint32_t size, void *counter)
{
	(*(uint64_t *)counter)++;
}
"""


@functools.cache
def _library(folder: Path) -> ctypes.CDLL:
    target = folder / "count.so"
    command = ["gcc", "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", str(target)]
    subprocess.run(command, input=_SOURCE, text=True, check=True)
    return ctypes.CDLL(str(target))


def count_instructions(machine: EmulatedMachine, folder: Path) -> ctypes.c_uint64:
    """Return a counter that grows with each instruction from now on."""
    counter, handle = ctypes.c_uint64(0), ctypes.c_size_t()
    status = uclib.uc_hook_add(
        machine.session.restored.processor.uc._uch,
        ctypes.byref(handle),
        ctypes.c_int(unicorn.UC_HOOK_CODE),
        ctypes.cast(_library(folder).count, ctypes.c_void_p),
        ctypes.byref(counter),
        ctypes.c_uint64(1),
        ctypes.c_uint64(0),
    )
    assert status == unicorn.UC_ERR_OK
    return counter
