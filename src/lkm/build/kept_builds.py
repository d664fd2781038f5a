"""What builds leave in the cache: a working copy for each source and kernel, and its results.

Results are keyed by the contents of all files that were copied, so that a file that is only
touched, or changed back, costs nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lkm import files

_KEEP = 32
_KEEP_RESULTS = 6
_IN_USE = 3600.0  # seconds since a build was last asked for
_STAMP = ".lkm-inputs"
_CONTENTS = "contents.json"


@dataclass(frozen=True, slots=True)
class BuildFolder:
    """The folder of the cache in which one source is built for one kernel."""

    folder: Path

    @property
    def tree(self) -> Path:
        """The copy of the source tree."""
        return self.folder / "tree"

    @property
    def programs(self) -> Path:
        """Our own programs that come first in PATH."""
        return self.folder / "programs"

    @property
    def dkms_tree(self) -> Path:
        """What a dkms.conf is told that dkms's tree is."""
        return self.folder / "dkms"


@dataclass(frozen=True, slots=True)
class KeptBuild:
    """The result of a build as it is kept: its modules, what was said, by which way."""

    modules: tuple[Path, ...]
    output: str
    way: str
    folder: Path


def build_folder(key: str) -> BuildFolder:
    """Return (and create) the folder for a key; builds long not asked for are removed."""
    cache = files.cache_directory("build")
    folder = cache / hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    if not folder.exists():
        _forget_oldest(cache)
    folder.mkdir(exist_ok=True)
    os.utime(folder)
    return BuildFolder(folder)


def _forget_oldest(cache: Path) -> None:
    """Remove the builds longest not asked for, but none that may still be in somebody's hands."""
    used = {}
    for path in cache.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process is at it, too
            if path.is_dir():
                used[path] = path.stat().st_mtime
    for old in sorted(used, key=used.__getitem__)[: -(_KEEP - 1)]:
        if used[old] < time.time() - _IN_USE:
            shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def locked(place: BuildFolder) -> Iterator[None]:
    """Keep other processes from building in the folder meanwhile."""
    with open(place.folder.parent / f".{place.folder.name}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def contents(place: BuildFolder, root: Path, found: Mapping[str, os.stat_result]) -> dict[str, str]:
    """Return what each file holds, as a digest; those with the same time and size as before
    are not read again."""
    known = _known(place)
    told: dict[str, list[object]] = {}
    for name, status in found.items():
        seen: list[object] = [status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode]
        before = known.get(name)
        same = before is not None and before[:4] == seen
        with contextlib.suppress(FileNotFoundError):  # gone meanwhile
            told[name] = before if before and same else [*seen, _digest(root / name, status)]
    if told != known:
        files.write_atomic(place.folder / _CONTENTS, json.dumps(told).encode())
    return {name: str(facts[4]) for name, facts in told.items()}


def _known(place: BuildFolder) -> dict[str, list[object]]:
    with contextlib.suppress(OSError, ValueError):
        known = json.loads((place.folder / _CONTENTS).read_text())
        if isinstance(known, dict):
            return known
    return {}


def _digest(path: Path, status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return f"link to {os.readlink(path)}"
    executable = "x" if status.st_mode & stat.S_IXUSR else ""
    with open(path, "rb") as file:
        return executable + hashlib.file_digest(file, "sha256").hexdigest()


def result_key(inputs: Mapping[str, str]) -> str:
    """Return the name under which the result of a build of these inputs is kept."""
    text = json.dumps(sorted(inputs.items())).encode()
    return hashlib.sha256(text).hexdigest()[:24]


def kept(place: BuildFolder, key: str) -> KeptBuild | None:
    """Return a result that was kept; ``None`` where it was not, or is damaged."""
    folder = place.folder / "kept" / key
    try:
        stamp = json.loads((folder / _STAMP).read_text())
        modules = tuple(folder / name for name in stamp["modules"])
        if not all(path.is_file() for path in modules):
            return None
        os.utime(folder)
        return KeptBuild(modules, str(stamp["output"]), str(stamp["way"]), folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(
    place: BuildFolder,
    key: str,
    modules: Mapping[str, Path],
    said: tuple[str, str],
    compile_commands: bytes,
) -> KeptBuild:
    """Keep the result of a build: ``modules`` by the path they are to have; ``said`` is what was
    said, and by which way."""
    output, way = said
    folder = place.folder / "kept" / key
    shutil.rmtree(folder, ignore_errors=True)
    for name, path in modules.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, folder / name)
    files.write_atomic(folder / "compile_commands.json", compile_commands)
    stamp = {"modules": list(modules), "output": output, "way": way}
    files.write_atomic(folder / _STAMP, json.dumps(stamp).encode())
    others = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)
    for old in others[:-_KEEP_RESULTS]:
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)
    return KeptBuild(tuple(folder / name for name in modules), output, way, folder)
