"""Writing the archive a kernel unpacks as its first root: cpio, "newc" format.

Source: ``Documentation/driver-api/early-userspace/buffer-format.rst``, ``init/initramfs.c``.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

_ALIGNMENT = 4
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class CpioEntry:
    """One member: its path without a leading slash, mode with file type, content, device.

    ``mtime`` in seconds: Python compares a source's with what its compiled form was made from.
    """

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)
    mtime: int = 0


def directory(name: str, permissions: int = 0o755) -> CpioEntry:
    """Return a directory."""
    return CpioEntry(name, stat.S_IFDIR | permissions)


def regular(name: str, data: bytes, permissions: int = 0o644, mtime: int = 0) -> CpioEntry:
    """Return a regular file with ``data`` in it."""
    return CpioEntry(name, stat.S_IFREG | permissions, data, mtime=mtime)


def symlink(name: str, target: str) -> CpioEntry:
    """Return a symbolic link to ``target``."""
    return CpioEntry(name, stat.S_IFLNK | 0o777, target.encode())


def character_device(name: str, major: int, minor: int, permissions: int = 0o600) -> CpioEntry:
    """Return a character device node."""
    return CpioEntry(name, stat.S_IFCHR | permissions, device=(major, minor))


def archive(entries: Iterable[CpioEntry]) -> bytes:
    """Return the uncompressed archive of ``entries``, with every missing parent directory added.

    The same entries give the same bytes: times are the entries' own, inode numbers count from 1.
    """
    output = bytearray()
    for inode, entry in enumerate(_with_parents(entries), start=1):
        _append(output, entry, inode)
    _append(output, CpioEntry(_TRAILER, 0), 0)
    return bytes(output)


def _with_parents(entries: Iterable[CpioEntry]) -> Iterator[CpioEntry]:
    written: set[str] = set()
    for entry in entries:
        parts = entry.name.strip("/").split("/")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            if parent not in written:
                written.add(parent)
                yield directory(parent)
        name = "/".join(parts)
        if not (stat.S_ISDIR(entry.mode) and name in written):
            written.add(name)
            yield replace(entry, name=name)


def _append(output: bytearray, entry: CpioEntry, inode: int) -> None:
    name = entry.name.encode() + b"\0"
    links, owner, group, device, checksum = 1, 0, 0, (0, 0), 0
    fields = (
        *(inode, entry.mode, owner, group, links, entry.mtime, len(entry.data)),
        *(*device, *entry.device, len(name), checksum),
    )
    output += b"070701" + b"".join(b"%08x" % field for field in fields) + name
    output += bytes(-len(output) % _ALIGNMENT)
    output += entry.data
    output += bytes(-len(output) % _ALIGNMENT)
