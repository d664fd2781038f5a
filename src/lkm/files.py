"""Files written whole or not at all, and the folder of lkm's caches."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO


class Replacing:
    """A temporary file that takes the place of ``path`` when the block ends without error.

    The new file is written in the same folder, flushed to disk and renamed; on an error the old
    file is untouched and the temporary one is removed. ``mode`` are the new file's permissions.
    """

    def __init__(self, path: str | os.PathLike[str], *, mode: int = 0o644) -> None:
        self._target = os.fspath(path)
        self._mode = mode

    def __enter__(self) -> IO[bytes]:
        import tempfile  # brings random and hashing, 10 ms that a command that only reads can spare

        folder, name = os.path.split(self._target)
        descriptor, self._temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder or ".")
        self._stream = os.fdopen(descriptor, "wb")
        return self._stream

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            with self._stream as stream:
                if kind is None:
                    stream.flush()
                    os.fchmod(stream.fileno(), self._mode)
                    os.fsync(stream.fileno())
            if kind is None:
                os.replace(self._temporary, self._target)
        finally:
            if os.path.lexists(self._temporary):
                os.unlink(self._temporary)


def write_atomic(path: str | os.PathLike[str], data: bytes, *, mode: int = 0o644) -> None:
    """Write ``data`` as the whole content of ``path``, or leave what was there."""
    with Replacing(path, mode=mode) as stream:
        stream.write(data)


def cache_directory(*parts: str) -> Path:
    """Return (and create) a folder below lkm's cache, ``$XDG_CACHE_HOME/lkm``."""
    from pathlib import Path  # as above

    return Path(cache_folder(*parts))


def cache_folder(*parts: str) -> str:
    """Return (and create) what ``cache_directory`` does, as a string.

    Raises PermissionError when another user owns the cache, root excepted, or may write to it:
    what is in it would be trusted.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    cache = os.path.join(base, "lkm")
    os.makedirs(base, exist_ok=True)
    try:
        os.mkdir(cache, 0o700)
    except FileExistsError:
        _check_ours(cache)
    folder = os.path.join(cache, *parts)
    os.makedirs(folder, exist_ok=True)
    return folder


def _check_ours(folder: str) -> None:
    status = os.stat(folder)
    if status.st_uid not in (os.geteuid(), 0):
        raise PermissionError(1, "this cache belongs to another user; set XDG_CACHE_HOME", folder)
    if status.st_mode & 0o022:
        if status.st_uid != os.geteuid():
            raise PermissionError(1, "others may write to this cache", folder)
        os.chmod(folder, status.st_mode & 0o7755)
