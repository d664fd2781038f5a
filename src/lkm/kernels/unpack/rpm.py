"""RPM packages unpacked without root or installation.

``rpm2cpio`` gives a package's files as a cpio archive in the "newc" format; see
``Documentation/driver-api/early-userspace/buffer-format.rst`` of the kernel.
"""

from __future__ import annotations

import functools
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lkm.errors import FormatError, ToolError
from lkm.kernels.unpack.folder import Progress, Unpacked, silent

_MAGICS = (b"070701", b"070702")
_HEADER_SIZE = 110
_LONGEST_NAME = 4096
_TRAILER = "TRAILER!!!"
_PIECE = 1 << 20


def unpack(packages: Iterable[Path], folder: Path, progress: Progress | None = None) -> None:
    """Unpack the files of RPM ``packages`` below ``folder``.

    Raises FormatError for a file that is no RPM package, ToolError when rpm2cpio is missing.
    """
    if shutil.which("rpm2cpio") is None:
        raise ToolError(
            "no rpm2cpio is installed, which unpacks RPM packages",
            hint="install it: the package rpm or rpm-tools",
        )
    unpacked = Unpacked(folder)
    for package in packages:
        unpacked.begin(package)
        report = functools.partial(progress or silent, f"unpacking {package.name}")
        with subprocess.Popen(
            ["rpm2cpio", package], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout
            assert process.stderr
            try:
                unpack_cpio(process.stdout, unpacked, report)
            except FormatError as error:
                process.kill()
                said = process.stderr.read().decode(errors="replace").strip()
                if said:
                    raise FormatError("an RPM package", said, path=str(package)) from error
                raise
    unpacked.finish()


@dataclass(frozen=True, slots=True)
class _Member:
    """One member's header: sizes in bytes; ``inode`` is shared by the names of one file."""

    name: str
    inode: int
    mode: int
    links: int
    size: int


class _Archive:
    """A cpio archive being read; errors name the offset."""

    def __init__(self, stream: IO[bytes], path: str, report: Callable[[int, int], None]) -> None:
        self._stream = stream
        self._path = path
        self._report = report
        self._offset = 0

    def members(self) -> Iterator[_Member]:
        """Yield the members; what is in each has to be read before the next is asked for."""
        while True:
            self._align()
            header = self.read(_HEADER_SIZE)
            if header[:6] not in _MAGICS:
                raise self._error("a member of a cpio archive", repr(header[:6]))
            try:
                fields = [int(header[at : at + 8], 16) for at in range(6, _HEADER_SIZE, 8)]
            except ValueError:
                raise self._error("hexadecimal numbers", repr(header)) from None
            inode, mode, _, _, links, _, size, *_, name_size, _ = fields
            if not 0 < name_size <= _LONGEST_NAME:
                raise self._error("a name of a usual length", f"one of {name_size} bytes")
            name = self.read(name_size)[:-1].decode(errors="surrogateescape")
            if name == _TRAILER:
                return
            self._align()
            yield _Member(name, inode, mode, links, size)

    def copy(self, size: int, target: IO[bytes] | None) -> None:
        """Copy the next ``size`` bytes to ``target``, or pass over them."""
        while size:
            piece = self.read(min(size, _PIECE))
            size -= len(piece)
            if target:
                target.write(piece)

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        data = self._stream.read(size)
        if len(data) < size:
            raise self._error(f"{size} more bytes", f"the end of the archive after {len(data)}")
        self._offset += size
        self._report(self._offset, self._offset)
        return data

    def _align(self) -> None:
        if self._offset % 4:
            self.read(4 - self._offset % 4)

    def _error(self, expected: str, found: str) -> FormatError:
        return FormatError(expected, found, path=self._path, offset=self._offset)


def unpack_cpio(stream: IO[bytes], unpacked: Unpacked, report: Callable[[int, int], None]) -> None:
    """Unpack the cpio archive in ``stream``; raises FormatError."""
    archive = _Archive(stream, unpacked.package, report)
    # Of the names of one file only the last comes with what is in it.
    waiting: dict[int, list[_Member]] = {}
    for member in archive.members():
        if stat.S_ISDIR(member.mode):
            unpacked.directory(member.name)
        elif stat.S_ISLNK(member.mode) and member.size <= _LONGEST_NAME:
            target = archive.read(member.size).decode(errors="surrogateescape")
            unpacked.symbolic_link(member.name, target)
        elif stat.S_ISREG(member.mode) and member.links > 1 and not member.size:
            waiting.setdefault(member.inode, []).append(member)
        elif stat.S_ISREG(member.mode):
            _file(archive, member, unpacked)
            for other in waiting.pop(member.inode, ()) if member.links > 1 else ():
                unpacked.hard_link(other.name, member.name)
        else:
            archive.copy(member.size, None)
    for empty in (member for members in waiting.values() for member in members):
        _file(archive, empty, unpacked)


def _file(archive: _Archive, member: _Member, unpacked: Unpacked) -> None:
    target = unpacked.file(member.name, member.mode, member.size)
    if target is None:
        archive.copy(member.size, None)
    else:
        with target:
            archive.copy(member.size, target)
