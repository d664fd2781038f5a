"""Files written whole or not at all, and the folder of lkm's caches."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes the place of ``path`` when the block ends without error.

    The new file is written in the same folder, flushed to disk and renamed; on an error the old
    file is untouched and the temporary one is removed. ``mode`` are the new file's permissions.
    """
    import tempfile  # brings random and hashing, 10 ms that a command that only reads can spare

    target = os.fspath(path)
    folder, name = os.path.split(target)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder or ".")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_atomic(path: str | os.PathLike[str], data: bytes, *, mode: int = 0o644) -> None:
    """Write ``data`` as the whole content of ``path``, or leave what was there."""
    with replacing(path, mode=mode) as stream:
        stream.write(data)


def cache_directory(*parts: str) -> Path:
    """Return (and create) a folder below lkm's cache, ``$XDG_CACHE_HOME/lkm``."""
    from pathlib import Path  # as above

    return Path(cache_folder(*parts))


def cache_folder(*parts: str) -> str:
    """Return (and create) what ``cache_directory`` does, as a string."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.path.join(base, "lkm", *parts)
    os.makedirs(folder, exist_ok=True)
    return folder
