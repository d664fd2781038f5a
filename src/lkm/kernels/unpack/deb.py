"""Debian packages unpacked without dpkg, root or installation.

A ``.deb`` is an ``ar`` archive of ``debian-binary``, ``control.tar.*`` and ``data.tar.*``
(deb(5)); only the last is read.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, cast

from lkm.errors import FormatError
from lkm.kernels.unpack.folder import Progress, Unpacked, silent, unpack_tar

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER_SIZE = 60


class _Section:
    """The bytes of one archive member, as a stream that tar readers can read."""

    def __init__(self, stream: IO[bytes], size: int, report: Callable[[int, int], None]) -> None:
        self._stream = stream
        self._size = self._left = size
        self._report = report

    def read(self, size: int = -1) -> bytes:
        size = self._left if size < 0 else min(size, self._left)
        data = self._stream.read(size)
        self._left -= len(data)
        self._report(self._size - self._left, self._size)
        return data


def unpack(packages: Iterable[Path], folder: Path, progress: Progress | None = None) -> None:
    """Unpack the files of Debian ``packages`` below ``folder``.

    Raises FormatError for a file that is not a Debian package, UnsupportedError for a
    compression that Debian does not use for packages.
    """
    unpacked = Unpacked(folder)
    for package in packages:
        unpacked.begin(package)
        report = functools.partial(progress or silent, f"unpacking {package.name}")
        with open(package, "rb") as stream:
            name, size = _find_data_member(stream, str(package))
            section = _Section(stream, size, report)
            unpack_tar(cast(IO[bytes], section), name.removeprefix("data.tar"), unpacked)
    unpacked.finish()


def _find_data_member(stream: IO[bytes], path: str) -> tuple[str, int]:
    """Leave ``stream`` at the start of ``data.tar.*`` and return its name and size in bytes."""
    if stream.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise FormatError("a Debian package", "no ar archive", path=path, offset=0)
    end = os.fstat(stream.fileno()).st_size
    while True:
        offset = stream.tell()
        header = stream.read(_AR_HEADER_SIZE)
        if len(header) < _AR_HEADER_SIZE or header[58:] != b"`\n":
            raise FormatError("an ar member called data.tar", "none", path=path, offset=offset)
        digits = header[48:58].strip()
        size = int(digits) if digits.isdigit() else end
        if stream.tell() + size > end:
            raise FormatError("a whole ar member", "a truncated one", path=path, offset=offset)
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        if name.startswith("data.tar"):
            return name, size
        stream.seek(size + size % 2, os.SEEK_CUR)
