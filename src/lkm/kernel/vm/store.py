"""The cache of snapshots: two files each, memory and devices, and a note that makes them valid.

Entries are keyed by all that their content depends on, shared by the processes of a user, and
bounded: those used longest ago are dropped.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lkm import files

LARGEST_TOTAL = 3 << 30
"""Bytes on disk that all snapshots together may take."""

_SUFFIXES = (".json", ".ram", ".state")


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """One entry: what it is of, its size on disk in bytes, when it was last used."""

    key: str
    description: str
    size: int
    used: float


@dataclass(frozen=True, slots=True)
class OpenSnapshot:
    """The two files of an entry, opened: they stay whole even if the entry is dropped."""

    ram: int
    state: int

    def close(self) -> None:
        """Close both."""
        os.close(self.ram)
        os.close(self.state)


def folder() -> Path:
    """Return where snapshots are kept."""
    return files.cache_directory("vm")


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Hold the one lock under which entries are made and dropped; it ends with the process."""
    with open(folder() / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def open_entry(key: str) -> OpenSnapshot | None:
    """Open an entry, ``None`` when there is none or its files are not as long as they were."""
    try:
        note = json.loads((folder() / f"{key}.json").read_bytes())
        os.utime(folder() / f"{key}.json")
        ram = os.open(folder() / f"{key}.ram", os.O_RDWR | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        state = os.open(folder() / f"{key}.state", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        os.close(ram)
        return None
    entry = OpenSnapshot(ram, state)
    sizes = [os.fstat(ram).st_size, os.fstat(state).st_size]
    if isinstance(note, dict) and note.get("sizes") == sizes:
        return entry
    entry.close()
    return None


def add(key: str, description: str, ram: int, state: int) -> None:
    """Make an entry of two open files' content; the note, written last, makes it count."""
    for suffix, source in ((".ram", ram), (".state", state)):
        _copy_sparse(source, folder() / f"{key}{suffix}")
    sizes = [os.fstat(ram).st_size, os.fstat(state).st_size]
    note = {"description": description, "sizes": sizes}
    files.write_atomic(folder() / f"{key}.json", json.dumps(note).encode(), mode=0o600)
    _drop_oldest(key)


def discard(key: str) -> None:
    """Drop an entry; machines made of it live on."""
    for suffix in _SUFFIXES:
        (folder() / f"{key}{suffix}").unlink(missing_ok=True)


def entries() -> list[StoredSnapshot]:
    """Return what is in the cache, most recently used first."""
    found = []
    for note in folder().glob("*.json"):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            description = json.loads(note.read_bytes()).get("description", "")
            used = note.stat().st_mtime
            found.append(StoredSnapshot(note.stem, description, _size_on_disk(note.stem), used))
    return sorted(found, key=lambda entry: entry.used, reverse=True)


def clean() -> int:
    """Drop everything, and return how many bytes that freed."""
    with locked():
        freed = 0
        for path in folder().iterdir():
            if path.name != "lock":
                freed += path.stat().st_blocks * 512
                path.unlink()
        return freed


def _size_on_disk(key: str) -> int:
    paths = [folder() / f"{key}{suffix}" for suffix in _SUFFIXES]
    return sum(path.stat().st_blocks * 512 for path in paths if path.exists())


def _drop_oldest(keep: str) -> None:
    total = 0
    for entry in entries():
        total += entry.size
        if total > LARGEST_TOTAL and entry.key != keep:
            discard(entry.key)
    _drop_abandoned()


def _drop_abandoned() -> None:
    """Remove temporary files of a process that was killed while writing; the lock is held."""
    for path in folder().glob(".*"):
        if time.time() - path.stat().st_mtime > 60:
            path.unlink(missing_ok=True)


def _copy_sparse(source: int, target: Path) -> None:
    size = os.fstat(source).st_size
    with files.Replacing(target, mode=0o600) as stream:
        for start, end in _data_ranges(source, size):
            stream.seek(start)
            for offset in range(start, end, 1 << 20):
                stream.write(os.pread(source, min(1 << 20, end - offset), offset))
        stream.truncate(size)


def _data_ranges(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            return
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end
