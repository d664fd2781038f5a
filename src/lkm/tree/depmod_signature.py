"""What tells a file from what it was before: its size, its time and its inode."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain

Signature = tuple[int, int, int]
"""Size, modification time in nanoseconds, inode."""

NO_SIGNATURE: Signature = (-1, -1, -1)


def signature(status: os.stat_result) -> Signature:
    """Return what tells a file from what it was before."""
    return status.st_size, status.st_mtime_ns, status.st_ino


def file_signature(path: str) -> Signature | None:
    """Return the signature of the file ``path``, ``None`` when there is none."""
    try:
        return signature(os.stat(path))
    except OSError:
        return None


def stat_all(directory: str, paths: list[str]) -> bytes:
    """Return the packed signatures of ``paths``, absolute or relative to ``directory``."""
    signatures = []
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in paths:
            try:
                status = os.stat(path, dir_fd=folder)
                signatures.append((status.st_size, status.st_mtime_ns, status.st_ino))
            except OSError:
                signatures.append(NO_SIGNATURE)
    finally:
        os.close(folder)
    return pack_signatures(signatures)


def pack_signatures(signatures: Iterable[Signature]) -> bytes:
    """Return ``signatures`` as the bytes of three numbers each."""
    return array("q", chain.from_iterable(signatures)).tobytes()


def unpack_signatures(packed: bytes) -> Iterator[Signature]:
    """Yield the signatures in ``packed``."""
    numbers = array("q", packed)
    return zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
