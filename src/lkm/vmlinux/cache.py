"""Facts of a kernel kept on disk, so that the second command need not unpack it.

A fact file is a header line (magic, length and CRC-32 of the rest) and the fact's own bytes. One
that is cut short or damaged reads as absent and is written anew.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import zlib
from pathlib import Path

from lkm import files

_MAGIC = b"lkm-facts-2"
_KEEP = 24


class FactStore:
    """The folder of one kernel's facts; ``key`` names its content."""

    def __init__(self, key: str) -> None:
        self.folder: Path | None = None
        with contextlib.suppress(OSError):
            self.folder = files.cache_directory("vmlinux") / key

    def load(self, name: str) -> bytes | None:
        """Return a fact's bytes, or ``None`` when it is not there or not whole."""
        if self.folder is None:
            return None
        try:
            header, _, body = (self.folder / name).read_bytes().partition(b"\n")
        except OSError:
            return None
        return body if header == _header(body) else None

    def save(self, name: str, body: bytes) -> None:
        """Keep a fact; a cache that cannot be written (no space, read-only) is no error."""
        if self.folder is None:
            return
        with contextlib.suppress(OSError):
            if not self.folder.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                _forget_oldest(self.folder.parent)
            files.write_atomic(self.folder / name, _header(body) + b"\n" + body)


def _header(body: bytes) -> bytes:
    return b"%s %d %08x" % (_MAGIC, len(body), zlib.crc32(body))


def _forget_oldest(folder: Path) -> None:
    kernels = sorted(folder.iterdir(), key=os.path.getmtime)
    for old in kernels[:-_KEEP]:
        shutil.rmtree(old, ignore_errors=True)
