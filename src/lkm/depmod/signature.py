"""A file's signature: size, modification time and inode, which differ once it has changed."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping

    Signature = tuple[int, int, int]
    """Size, modification time in nanoseconds, inode."""

NO_SIGNATURE: Signature = (-1, -1, -1)


def signature(status: os.stat_result) -> Signature:
    """Return a file's size, modification time and inode."""
    return status.st_size, status.st_mtime_ns, status.st_ino


def file_signature(path: str) -> Signature | None:
    """Return the signature of the file ``path``, ``None`` when there is none."""
    try:
        return signature(os.stat(path))
    except OSError:
        return None


def signature_in(folder: int, path: str) -> Signature:
    """Return the signature of ``path``, absolute or relative to the open directory ``folder``."""
    try:
        status = os.stat(path, dir_fd=folder)
    except OSError:
        return NO_SIGNATURE
    return status.st_size, status.st_mtime_ns, status.st_ino


def stat_all(directory: str, paths: list[str], known: Mapping[str, Signature]) -> list[Signature]:
    """Return the signatures of ``paths``, absolute or relative to ``directory``.

    Those ``known`` already, by absolute path, are not asked for again.
    """
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return [
            known.get(path if path[0] == "/" else f"{directory}/{path}")
            or signature_in(folder, path)
            for path in paths
        ]
    finally:
        os.close(folder)
