"""Host memory: which pages of a private file mapping were written, and mapping it anew.

Source: ``Documentation/admin-guide/mm/pagemap.rst`` (bit 61: a page of a file or shared memory).
"""

from __future__ import annotations

import array
import ctypes
import mmap
import os

_FILE_PAGE, _PRESENT = 1 << 61, 1 << 63
_MAP_FIXED = 0x10
_FAILED = ctypes.c_void_p(-1).value


def address_of(mapping: mmap.mmap) -> int:
    """Return where a mapping lies in this process; it cannot be closed any more."""
    return ctypes.addressof(ctypes.c_char.from_buffer(mapping))


def changed_pages(address: int, size: int) -> list[int] | None:
    """Return the offsets of the pages that are no longer the file's.

    ``None`` when the host does not say: then any may have changed.
    """
    page = mmap.PAGESIZE
    try:
        descriptor = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.pread(descriptor, size // page * 8, address // page * 8)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    entries = array.array("Q", data[: len(data) // 8 * 8])
    return [
        index * page
        for index, entry in enumerate(entries)
        if entry & _PRESENT and not entry & _FILE_PAGE
    ]


def map_again(address: int, size: int, descriptor: int) -> None:
    """Replace the mapping at ``address`` by a new private one of the same file."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [
        *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
        *(ctypes.c_int, ctypes.c_int, ctypes.c_long),
    ]
    flags = mmap.MAP_PRIVATE | _MAP_FIXED | getattr(mmap, "MAP_NORESERVE", 0)
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    if library.mmap(address, size, protection, flags, descriptor, 0) == _FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
