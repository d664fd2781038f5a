"""A folder that packages are unpacked into, whatever their format, without root.

Nothing is ever written outside of it: names with ``..`` are refused, absolute symbolic links are
made relative to the folder, and all symbolic links are made after all files, so that no file can
be written through one.
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import lzma
import os
import posixpath
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

from lkm.errors import FormatError, UnsupportedError
from lkm.module.compression import zstandard

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how many bytes of how many are done."""

_DAMAGES = (
    *(tarfile.TarError, lzma.LZMAError, zlib.error, gzip.BadGzipFile),
    *(EOFError, ValueError),
)
_OF_NAMES = (
    *(errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL, errno.ELOOP),
    *(errno.EILSEQ, errno.ENOTEMPTY),
)
LARGEST_TOTAL = 8 << 30
"""Bytes that the files of one kernel's packages may have together."""

_NOT_NEEDED = ("usr/share/",)  # documentation and bug-report scripts


def silent(_what: str, _done: int, _total: int) -> None:
    """Report no progress."""


class Unpacked:
    """The files of packages, being put below ``folder``; links are made by ``finish``.

    Names that begin with one of ``unwanted`` are passed over. A name that leaves the folder raises
    FormatError, in which ``package`` is named.
    """

    def __init__(self, folder: Path, unwanted: tuple[str, ...] = _NOT_NEEDED) -> None:
        self._folder = folder
        self._unwanted = unwanted
        self._links: dict[str, str] = {}
        self._room = LARGEST_TOTAL
        self.package = ""

    def begin(self, package: Path) -> None:
        """Say which package's files come next, for errors to name it."""
        self.package = str(package)

    def directory(self, name: str) -> None:
        """Make a directory."""
        if place := self._wanted(name):
            with self._fitting(place):
                (self._folder / place).mkdir(parents=True, exist_ok=True)

    def file(self, name: str, mode: int, size: int) -> IO[bytes] | None:
        """Return a new file for ``size`` bytes; ``None`` when it is not needed.

        Whatever its mode says of the owner or group it runs as (setuid) is left out.
        """
        place = self._wanted(name)
        if not place:
            return None
        self._room -= size
        if self._room < 0:
            raise self._error(f"at most {LARGEST_TOTAL >> 30} GiB of files", "more")
        with self._fitting(place):
            opened = open(self._new(place), "xb")  # noqa: SIM115 - the caller's to close
        os.fchmod(opened.fileno(), 0o755 if mode & 0o111 else 0o644)
        return opened

    def symbolic_link(self, name: str, target: str) -> None:
        """Have a symbolic link made in the end."""
        if place := self._wanted(name):
            if "\0" in target or not target:
                raise self._error("a link to a name", repr(target[:80]))
            self._links[place] = target

    def hard_link(self, name: str, target: str) -> None:
        """Give the file called ``target`` another name; FormatError when it is not there."""
        if place := self._wanted(name):
            with self._fitting(place):
                source = self._folder / self._safe_name(target)
                if not source.is_file():
                    raise self._error("a link to a file of the package", repr(target[:80]))
                os.link(source, self._new(place))

    def _new(self, place: str) -> Path:
        target = self._folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        return target

    def finish(self) -> None:
        """Make the symbolic links, and the ``lib`` that all readers look in."""
        for place, target in self._links.items():
            with self._fitting(place):
                self._link(place, target)
        if (self._folder / "usr/lib/modules").is_dir() and not (self._folder / "lib").exists():
            (self._folder / "lib").symlink_to("usr/lib")

    def _link(self, place: str, target: str) -> None:
        top = os.path.realpath(self._folder)
        inside = target
        if target.startswith("/"):
            inside = posixpath.relpath(self._safe_name(target), posixpath.dirname(place))
        above = os.path.realpath((self._folder / place).parent)
        if above != top and not above.startswith(f"{top}/"):
            raise self._error("a name inside of it", f"{place!r} behind a link out of the archive")
        self._new(place).symlink_to(inside)

    @contextlib.contextmanager
    def _fitting(self, place: str) -> Iterator[None]:
        """Take a name that no file can have, or that is of another kind already, for damage."""
        try:
            yield
        except OSError as error:
            if error.errno not in _OF_NAMES:
                raise
            found = f"{place[:80]!r}: {error.strerror}"
            raise self._error("a name that a file can have", found) from None

    def _wanted(self, name: str) -> str:
        """Return ``name`` as a relative path; empty for the folder and what is not needed."""
        place = self._safe_name(name)
        return "" if self._unwanted and place.startswith(self._unwanted) else place

    def _safe_name(self, name: str) -> str:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts or "\0" in name:
            raise self._error("a name inside of it", f"one that leaves the archive: {name!r}")
        return "/".join(parts)

    def _error(self, expected: str, found: str) -> FormatError:
        return FormatError(expected, found, path=self.package)


def unpack_tar(
    stream: IO[bytes],
    suffix: str,
    unpacked: Unpacked,
    skip: Callable[[str], bool] = lambda name: False,
) -> None:
    """Unpack the tar archive in ``stream``, but for names that are to be skipped.

    ``suffix`` tells how it is packed (``.xz``); UnsupportedError for one that packages do not have.
    """
    try:
        with tarfile.open(fileobj=_decompressed(stream, suffix), mode="r|") as archive:
            for member in archive:
                if not skip(member.name):
                    _unpack_member(archive, member, unpacked)
    except _damages() as error:
        found = str(error) or "damaged data"
        raise FormatError("a tar archive", found, path=unpacked.package) from error


def _decompressed(stream: IO[bytes], suffix: str) -> IO[bytes]:
    match suffix:
        case ".xz":
            return cast(IO[bytes], lzma.LZMAFile(stream))
        case ".zst":
            return cast(IO[bytes], zstandard().ZstdDecompressor().stream_reader(stream))
        case ".gz":
            return cast(IO[bytes], gzip.GzipFile(fileobj=stream))
        case ".bz2":
            return cast(IO[bytes], bz2.BZ2File(stream))
        case "":
            return stream
    raise UnsupportedError(f"a package whose files are compressed as {suffix!r}")


def _damages() -> tuple[type[Exception], ...]:
    """Return what reading a damaged archive may raise, however it is packed."""
    with contextlib.suppress(UnsupportedError):
        zstd: type[Exception] = zstandard().ZstdError
        return (*_DAMAGES, zstd)
    return _DAMAGES


def _unpack_member(archive: tarfile.TarFile, member: tarfile.TarInfo, unpacked: Unpacked) -> None:
    if member.isdir():
        unpacked.directory(member.name)
    elif member.issym():
        unpacked.symbolic_link(member.name, member.linkname)
    elif member.islnk():
        unpacked.hard_link(member.name, member.linkname)
    elif member.isreg():
        source, target = (
            archive.extractfile(member),
            unpacked.file(member.name, member.mode, member.size),
        )
        if source and target:
            with target:
                shutil.copyfileobj(source, target, 1 << 20)
