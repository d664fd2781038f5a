"""Where an object file's bytes come from: memory, or a file of which only parts are read."""

from __future__ import annotations

import os
import stat
from typing import Protocol

from lkm.errors import FormatError

LARGEST = (1 << 31) - 1
"""How many bytes a module may have: the kernel's ``finit_module`` reads no more (``INT_MAX``)."""
_HEAD = 64
_TAIL = 16 * 1024


class ByteSource(Protocol):
    """Bytes that can be read in parts; ``path`` is for messages, ``size`` in bytes."""

    path: str
    size: int

    def read(self, offset: int, size: int) -> bytes:
        """Return exactly ``size`` bytes at ``offset``.

        Raises ``FormatError`` where the source ends before.
        """
        ...

    def expect(self, offset: int) -> None:
        """Announce that the bytes from ``offset`` to the end are read next, in parts."""
        ...


def check_range(source: ByteSource, offset: int, size: int) -> None:
    """Raise ``FormatError`` unless ``size`` bytes at ``offset`` lie within ``source``."""
    if offset < 0 or size < 0 or offset + size > source.size:
        raise FormatError(
            f"{size:#x} bytes",
            f"the end of the file at {source.size:#x}",
            path=source.path,
            offset=offset,
            hint="the file is truncated or damaged",
        )


class BytesSource:
    """A whole file in memory."""

    __slots__ = ("data", "path", "size")

    def __init__(self, data: bytes, path: str = "<bytes>") -> None:
        self.data = data
        self.path = path
        self.size = len(data)

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes at ``offset``."""
        check_range(self, offset, size)
        return self.data[offset : offset + size]

    def expect(self, offset: int) -> None:
        """Do nothing: everything is here."""


class FileSource:
    """An open file; its descriptor lives as long as the object, or until ``close``.

    Raises ``FormatError`` for one that is no regular file, or too large for a module.

    The end of an ELF file holds its section headers, their names and the signature: ``expect``
    reads them at once, so that looking at a module costs three reads.
    """

    __slots__ = ("_descriptor", "_head", "_tail", "_tail_offset", "path", "size")

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = -1
        # Without O_NONBLOCK a named pipe would keep us waiting.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FormatError("a regular file", stat.filemode(status.st_mode), path=path)
        if status.st_size > LARGEST:
            raise FormatError(
                "a module of less than 2 GiB, the most a kernel loads",
                f"{status.st_size} bytes",
                path=path,
                hint="the file is damaged, or no module",
            )
        self.size = status.st_size
        self._head = os.pread(self._descriptor, _HEAD, 0)
        self._tail = b""
        self._tail_offset = 0

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes at ``offset``."""
        if offset >= 0 and size >= 0 and offset + size <= len(self._head):
            return self._head[offset : offset + size]
        start = offset - self._tail_offset
        if 0 <= start <= len(self._tail) - size and size >= 0:
            return self._tail[start : start + size]
        check_range(self, offset, size)
        data = os.pread(self._descriptor, size, offset)
        while len(data) < size:  # more than one read gives, or a file that shrank
            more = os.pread(self._descriptor, size - len(data), offset + len(data))
            if not more:
                self.size = offset + len(data)
                check_range(self, offset, size)
            data += more
        return data

    def expect(self, offset: int) -> None:
        """Read what lies from ``offset`` to the end, if that is little."""
        if 0 < self.size - offset <= _TAIL:
            self._tail = os.pread(self._descriptor, _TAIL, offset)
            self._tail_offset = offset

    def close(self) -> None:
        """Give the descriptor back; nothing can be read afterwards."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def read_file(path: str) -> bytes:
    """Return the whole content of a module file; raises what ``FileSource`` does."""
    source = FileSource(path)
    try:
        return source.read(0, source.size)
    finally:
        source.close()
