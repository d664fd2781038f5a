"""Read an initramfs as the kernel unpacks it: cpio archives one after the other, some compressed.

Source: ``init/initramfs.c: unpack_to_rootfs`` (archives anywhere, zeros between them, names and
contents padded to four bytes) and ``lib/decompress.c`` (compression by the first two bytes).
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

from lkm.boot.unpacking import MOST_UNPACKED, compression_of, unpack_pieces
from lkm.errors import FormatError

Buffer = bytes | memoryview | mmap

MOST_MEMBERS = 1_000_000
"""Members of one image; real ones have some thousands."""

_HEADER = 110
_MAGICS = (b"070701", b"070702")
_TRAILER = "TRAILER!!!"
_LONGEST_NAME = 4096  # PATH_MAX: the kernel passes over what is longer
_LARGEST_LINK = 4096


@dataclass(frozen=True, slots=True)
class ImageSegment:
    """One archive of an image: its number from 0, its offset in the file, its compression."""

    number: int
    offset: int
    compression: str


@dataclass(frozen=True, slots=True)
class ImageMember:
    """One member: its name without a leading ``./``, type and permissions, size in bytes.

    ``link`` is a symbolic link's target; ``inode`` is shared by the names of one file with
    several ``links``; ``device`` is the major and minor number of a device node.
    """

    name: str
    mode: int
    size: int
    segment: ImageSegment
    link: str = ""
    inode: int = 0
    links: int = 1
    device: tuple[int, int] = (0, 0)
    uid: int = 0
    gid: int = 0
    mtime: int = 0

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)


class ArchiveReader:
    """Walks through the members of an image; the content is there until the next is asked for."""

    def __init__(self, data: Buffer, path: str = "") -> None:
        self._data = memoryview(data)
        self._path = path
        self._left = MOST_UNPACKED
        self._source: _Pieces | None = None
        self._unread = 0
        self.segments: list[ImageSegment] = []

    def members(self) -> Iterator[ImageMember]:
        """Yield all members, segment after segment; raises FormatError for what is no archive."""
        place = _past_zeros(self._data, 0)
        count = 0
        if place == len(self._data):
            raise self._error("an initramfs", "an empty file" if not place else "zeros", 0)
        while place < len(self._data):
            compression = compression_of(self._data[place : place + 8])
            segment = ImageSegment(len(self.segments), place, compression)
            self.segments.append(segment)
            if compression == "none":
                source = _Pieces(iter((self._data[place:],)), self._path, place)
                for member in self._archive(source, segment):
                    count += 1
                    yield self._counted(member, count)
                place += source.offset
            else:
                packed = unpack_pieces(self._data[place:], compression, self._path)
                source = _Pieces(iter(packed), self._path, place, self._left)
                while not source.at_end():
                    for member in self._archive(source, segment):
                        count += 1
                        yield self._counted(member, count)
                    source.pass_zeros()
                self._left -= source.offset
                place += packed.consumed
            place = _past_zeros(self._data, place)

    def content(self, limit: int = 1 << 28) -> bytes:
        """Return the present member's content; FormatError when it is larger than ``limit``."""
        if self._source is None:
            return b""
        if self._unread > limit:
            raise self._error(
                f"a file of at most {limit} bytes", f"{self._unread}", self._source.offset
            )
        size, self._unread = self._unread, 0
        return self._source.take(size)

    def _archive(self, source: _Pieces, segment: ImageSegment) -> Iterator[ImageMember]:
        base = source.offset
        while True:
            if source.offset > base and source.at_end():
                return  # an archive need not have a trailer
            header = source.take(_HEADER)
            member, trailer = self._member(source, header, segment)
            if trailer:
                self._source = None
                source.skip(member.size)
                return
            self._source, self._unread = source, member.size
            if stat.S_ISLNK(member.mode):
                self._unread = 0
            yield member
            source.skip(self._unread)
            self._source = None
            source.align(base)

    def _member(
        self, source: _Pieces, header: bytes, segment: ImageSegment
    ) -> tuple[ImageMember, bool]:
        start = source.offset - _HEADER
        if header[:6] not in _MAGICS:
            raise self._error("a member of a cpio archive (070701)", repr(header[:6]), start)
        try:
            numbers = bytes.fromhex(header[6:].decode("ascii"))
        except ValueError:
            raise self._error("hexadecimal numbers", repr(header[6:30]), start) from None
        words = [int.from_bytes(numbers[at : at + 4]) for at in range(0, 52, 4)]
        inode, mode, uid, gid, links, mtime, size, _, _, major, minor, length, _ = words
        if not 0 < length <= _LONGEST_NAME + 1:
            raise self._error("a name of at most 4096 bytes", f"one of {length}", start)
        raw = source.take(length).split(b"\0", 1)[0]
        name = raw.decode("utf-8", "surrogateescape")
        source.align(start)
        link = ""
        if stat.S_ISLNK(mode):
            if size > _LARGEST_LINK:
                raise self._error("a link of at most 4096 bytes", f"one of {size}", start)
            link = source.take(size).rstrip(b"\0").decode("utf-8", "surrogateescape")
        plain = name.removeprefix("./") or "."
        member = ImageMember(
            plain, mode, size, segment, link, inode, links, (major, minor), uid, gid, mtime
        )
        return member, name == _TRAILER

    def _counted(self, member: ImageMember, count: int) -> ImageMember:
        if count > MOST_MEMBERS:
            raise self._error(f"at most {MOST_MEMBERS} members", "more", member.segment.offset)
        return member

    def _error(self, expected: str, found: str, offset: int) -> FormatError:
        return FormatError(expected, found, path=self._path, offset=offset)


class _Pieces:
    """A stream of bytes that come in pieces; ``offset`` counts what was taken or skipped."""

    def __init__(
        self, pieces: Iterator[bytes | memoryview], path: str, place: int, limit: int | None = None
    ) -> None:
        self._pieces = pieces
        self._piece: bytes | memoryview = b""
        self._at = 0
        self._path = path
        self._place = place
        self._limit = limit
        self.offset = 0

    def at_end(self) -> bool:
        """Whether nothing is left."""
        while self._at >= len(self._piece):
            piece = next(self._pieces, None)
            if piece is None:
                return True
            self._piece, self._at = piece, 0
        return False

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        if len(self._piece) - self._at >= size:
            taken = bytes(self._piece[self._at : self._at + size])
            self._moved(size)
            return taken
        parts = []
        left = size
        while left:
            if self.at_end():
                raise self._cut(size, size - left)
            part = self._piece[self._at : self._at + left]
            parts.append(bytes(part))
            left -= len(part)
            self._moved(len(part))
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes."""
        left = size
        while left:
            if self.at_end():
                raise self._cut(size, size - left)
            step = min(left, len(self._piece) - self._at)
            left -= step
            self._moved(step)

    def align(self, base: int) -> None:
        """Pass over the bytes up to the next multiple of four from ``base`` on."""
        gap = -(self.offset - base) % 4
        for _ in range(gap):
            if self.at_end():
                return
            self._moved(1)

    def pass_zeros(self) -> None:
        """Pass over zeros."""
        while not self.at_end():
            zeros = _past_zeros(memoryview(self._piece), self._at) - self._at
            self._moved(zeros)
            if self._at < len(self._piece):
                return

    def _moved(self, size: int) -> None:
        self._at += size
        self.offset += size
        if self._limit is not None and self.offset > self._limit:
            raise FormatError(
                f"at most {MOST_UNPACKED >> 20} MiB unpacked",
                "more",
                path=self._path,
                offset=self._place,
                hint="an initramfs of this size would not fit into the memory of most machines",
            )

    def _cut(self, wanted: int, found: int) -> FormatError:
        return FormatError(
            f"{wanted} more bytes",
            f"the end of the image after {found}",
            path=self._path,
            offset=self._place + self.offset,
            hint="the image is cut or damaged: make it anew (update-initramfs -u, dracut -f)",
        )


def _past_zeros(data: memoryview, start: int) -> int:
    """Return where the first byte is that is not zero."""
    step = 1 << 16
    while start < len(data):
        piece = bytes(data[start : start + step])
        rest = piece.lstrip(b"\0")
        if rest:
            return start + len(piece) - len(rest)
        start += len(piece)
    return len(data)
