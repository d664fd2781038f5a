"""Debian packages unpacked without dpkg, root or installation.

A ``.deb`` is an ``ar`` archive of ``debian-binary``, ``control.tar.*`` and ``data.tar.*``
(deb(5)); only the last is read. Nothing is ever written outside the folder given: names with
``..`` are refused, absolute symbolic links are made relative to the folder, and all symbolic
links are made after all files, so that no file can be written through one.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import lzma
import os
import posixpath
import shutil
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, cast

from lkm.errors import FormatError, UnsupportedError
from lkm.module.compression import zstandard

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how many bytes of how many are done."""

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER_SIZE = 60
_NOT_NEEDED = ("usr/share/",)  # documentation and bug-report scripts


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
    links: dict[str, str] = {}
    for package in packages:
        report = functools.partial(progress or _silent, f"unpacking {package.name}")
        with open(package, "rb") as stream:
            name, size = _find_data_member(stream, str(package))
            section = _Section(stream, size, report)
            _extract(_decompressed(name, section), folder, links, str(package))
    for name, target in links.items():
        _link(folder, name, target)
    _merge_usr(folder)


def _silent(_what: str, _done: int, _total: int) -> None:
    pass


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


def _decompressed(name: str, section: _Section) -> IO[bytes]:
    raw = cast(IO[bytes], section)
    suffix = name.removeprefix("data.tar")
    if suffix == ".xz":
        return cast(IO[bytes], lzma.LZMAFile(raw))
    if suffix == ".zst":
        return cast(IO[bytes], zstandard().ZstdDecompressor().stream_reader(raw))
    if suffix == ".gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=raw))
    if suffix == ".bz2":
        return cast(IO[bytes], bz2.BZ2File(raw))
    if not suffix:
        return raw
    raise UnsupportedError(f"a Debian package whose files are compressed as {suffix!r}")


def _extract(stream: IO[bytes], folder: Path, links: dict[str, str], path: str) -> None:
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                _extract_member(archive, member, folder, links)
    except (tarfile.TarError, lzma.LZMAError, EOFError, ValueError) as error:
        raise FormatError("a tar archive", str(error) or "damaged data", path=path) from error


def _extract_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, links: dict[str, str]
) -> None:
    name = _safe_name(member.name)
    if not name or name.startswith(_NOT_NEEDED):
        return
    target = folder / name
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        links[name] = member.linkname
    elif member.islnk():
        target.unlink(missing_ok=True)
        os.link(folder / _safe_name(member.linkname), target)
    elif member.isreg():
        source = archive.extractfile(member)
        assert source is not None
        target.unlink(missing_ok=True)
        with open(target, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
            os.fchmod(out.fileno(), 0o755 if member.mode & 0o111 else 0o644)


def _safe_name(name: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError(f"a name that leaves the archive: {name!r}")
    return "/".join(parts)


def _link(folder: Path, name: str, target: str) -> None:
    if target.startswith("/"):
        target = posixpath.relpath(_safe_name(target), posixpath.dirname(name))
    path = folder / name
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _merge_usr(folder: Path) -> None:
    """Give packages of a merged-/usr distribution the ``lib`` that all readers look in."""
    if (folder / "usr/lib/modules").is_dir() and not (folder / "lib").exists():
        (folder / "lib").symlink_to("usr/lib")
