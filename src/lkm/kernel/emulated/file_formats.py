"""Structures that system calls on files fill in, x86-64.

Source: ``arch/x86/include/uapi/asm/stat.h``, ``fs/readdir.c: struct linux_dirent64``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from lkm.kernel.syscalls import FileStatus

_STAT = struct.Struct("<QQQIIIIQqqqqqqq")
_DIRENT = struct.Struct("<QqHB")


def parse_status(data: bytes) -> FileStatus:
    """Read a ``struct stat``."""
    _, _, _, mode, uid, gid, _, rdev, size, *_, mtime, nanoseconds = _STAT.unpack_from(data)
    device = (os.major(rdev), os.minor(rdev))
    return FileStatus(mode, size, uid, gid, device, mtime * 1_000_000_000 + nanoseconds)


def parse_directory(data: bytes) -> Iterator[str]:
    """Return the names in a buffer that getdents64 filled."""
    at = 0
    while at + _DIRENT.size <= len(data):
        _, _, length, _ = _DIRENT.unpack_from(data, at)
        if length < _DIRENT.size:
            return
        name, _, _ = data[at + _DIRENT.size : at + length].partition(b"\0")
        yield name.decode("utf-8", "surrogateescape")
        at += length
