"""What tells a file from what it was before: its size, its time and its inode."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
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


def stat_all(directory: str, paths: list[str]) -> list[Signature]:
    """Return the signatures of ``paths``, absolute or relative to ``directory``."""
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
    return signatures
