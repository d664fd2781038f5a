"""Snapshots kept on disk, shared by processes: one boots, the others wait for it and then read.

A file's name is a digest of everything that its content depends on. Files are written whole or not
at all; what is old goes when there is too much.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from lkm import files
from lkm.errors import FormatError
from lkm.kernel.emulated.start import snapshot
from lkm.kernel.emulated.start.snapshot import Snapshot

LIMIT = 2 << 30
"""Bytes on disk that all snapshots together may take."""

_SUFFIX = ".snapshot"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

Writer = Callable[[IO[bytes]], None]


def key(*parts: str) -> str:
    """Return the name for a snapshot that depends on ``parts``."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def obtain(name: str, build: Callable[[], Writer], waiting: Callable[[], None]) -> Snapshot:
    """Return the snapshot of that name; when there is none, boot one and keep it.

    ``build`` is called in at most one process at a time and returns what writes the file;
    ``waiting`` is called before waiting for another process that does. Without room for it in the
    cache the snapshot lives in memory of this process.
    """
    try:
        folder = files.cache_directory("emulated")
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        return _temporary(build())
    path = folder / (name + _SUFFIX)
    found = _open(path)
    if found is not None:
        return found
    with _lock(path, waiting):
        found = _open(path)
        return found if found is not None else _keep(path, build())


def _open(path: Path) -> Snapshot | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = snapshot.read(descriptor, os.fspath(path))
    except FormatError:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used just now: the last to go
    return found


def _keep(path: Path, write: Writer) -> Snapshot:
    try:
        with files.Replacing(path) as stream:
            write(stream)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        return _temporary(write)
    _evict(path)
    found = _open(path)
    return found if found is not None else _temporary(write)


def _temporary(write: Writer) -> Snapshot:
    """Write to memory of this process alone."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("lkm-snapshot")
    else:
        descriptor, name = tempfile.mkstemp()
        os.unlink(name)
    with os.fdopen(os.dup(descriptor), "wb") as stream:
        write(stream)
    return snapshot.read(descriptor)


@contextlib.contextmanager
def _lock(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the one lock for ``path`` among processes."""
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(path.with_suffix(".lock"), flags, 0o644)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _evict(newest: Path) -> None:
    """Remove the snapshots used longest ago while all together are over the limit."""
    aged = []
    for path in newest.parent.glob("*" + _SUFFIX):
        with contextlib.suppress(OSError):
            status = path.stat()
            aged.append((status.st_mtime, status.st_blocks * 512, path))
    total = sum(size for _, size, _ in aged)
    for _, size, path in sorted(aged):
        if total <= LIMIT or path == newest:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            path.with_suffix(".lock").unlink()
        total -= size
