"""Unpack a stream in pieces: gzip, bzip2, lzma, xz, zstd and lz4 as the kernel takes them.

Source: ``lib/decompress.c: compressed_formats``; ``lib/decompress_unlz4.c`` (legacy frames).
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterator
from typing import Protocol

from lkm.errors import FormatError, UnsupportedError, missing_extra

MOST_UNPACKED = 4 << 30
"""Bytes that one image may unpack to."""

_PIECE = 1 << 17
_LZ4_BLOCK = 8 << 20
_LZ4_MAGIC = 0x184C2102
_MEMORY_LIMIT = 512 << 20
_MAGICS = (
    (b"\x1f\x8b", "gzip"),
    (b"\x1f\x9e", "gzip"),
    (b"BZ", "bzip2"),
    (b"\x5d\x00", "lzma"),
    (b"\xfd7zXZ", "xz"),
    (b"\x89LZO", "lzo"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)


class _Decoder(Protocol):
    """The part of zlib's, bz2's, lzma's and zstandard's objects that is used here."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def compression_of(head: bytes | memoryview) -> str:
    """Return how what begins with ``head`` is packed, by the kernel's names; ``none`` if not."""
    begin = bytes(head)
    return next((name for magic, name in _MAGICS if begin.startswith(magic)), "none")


class UnpackedStream:
    """The pieces of one packed stream; ``consumed`` counts the packed bytes that were read."""

    def __init__(self, pieces: Iterator[tuple[bytes, int]]) -> None:
        self._pieces = pieces
        self.consumed = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece, consumed in self._pieces:
            self.consumed = consumed
            if piece:
                yield piece


def unpack_pieces(data: memoryview, compression: str, path: str = "") -> UnpackedStream:
    """Return the unpacked pieces of the stream that ``data`` begins with.

    Raises UnsupportedError for a compression that no library here reads, FormatError at what is
    damaged.
    """
    if compression == "lz4":
        return UnpackedStream(_unpack_lz4(data, path))
    if compression == "lzo":
        raise UnsupportedError(
            "an image packed with lzop, which no maintained Python library reads",
            hint=f"unpack it first: lzop -dc {path or 'IMAGE'} > image.cpio",
        )
    return UnpackedStream(_unpack_stream(data, compression, path))


def _decoder(compression: str) -> _Decoder:
    if compression == "gzip":
        return zlib.decompressobj(wbits=31)
    if compression == "bzip2":
        return bz2.BZ2Decompressor()
    if compression == "lzma":
        return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MEMORY_LIMIT)
    if compression == "xz":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_LIMIT)
    import zstandard  # only where an image is packed so

    made: _Decoder = zstandard.ZstdDecompressor(max_window_size=_MEMORY_LIMIT).decompressobj()
    return made


def _unpack_stream(data: memoryview, compression: str, path: str) -> Iterator[tuple[bytes, int]]:
    decoder = _decoder(compression)
    place = 0
    # zlib and bz2 give all that a piece unpacks to: small pieces bound what a bomb can ask for.
    step = _PIECE
    try:
        while not decoder.eof:
            if place >= len(data):
                raise _damaged(compression, "the end of the image", path)
            piece = bytes(data[place : place + step])
            place += len(piece)
            unpacked = decoder.decompress(piece)
            yield unpacked, place - len(decoder.unused_data)
    except (zlib.error, lzma.LZMAError, OSError) as error:
        raise _damaged(compression, str(error), path) from None
    except Exception as error:
        # zstandard's own error class, without importing it where nothing is packed so.
        if type(error).__name__ != "ZstdError":
            raise
        raise _damaged(compression, str(error), path) from None


def _unpack_lz4(data: memoryview, path: str) -> Iterator[tuple[bytes, int]]:
    try:
        import lz4.block
    except ImportError as error:
        raise missing_extra("lz4", "emulated") from error
    place = 4
    while place + 4 <= len(data):
        size = int.from_bytes(data[place : place + 4], "little")
        if size == _LZ4_MAGIC:  # another frame follows
            place += 4
            continue
        if not 0 < size <= lz4_bound(_LZ4_BLOCK) or place + 4 + size > len(data):
            break  # what follows the archive: zeros, or another one
        block = bytes(data[place + 4 : place + 4 + size])
        place += 4 + size
        try:
            unpacked = lz4.block.decompress(block, uncompressed_size=_LZ4_BLOCK)
        except lz4.block.LZ4BlockError as error:
            raise _damaged("lz4", str(error), path) from None
        yield unpacked, place
    yield b"", place


def lz4_bound(size: int) -> int:
    """Return how large ``size`` bytes may be packed (``LZ4_compressBound``)."""
    return size + size // 255 + 16


def _damaged(compression: str, found: str, path: str) -> FormatError:
    return FormatError(
        f"{compression} data that ends",
        found,
        path=path,
        hint="the image is cut or damaged: make it anew (update-initramfs -u, dracut -f)",
    )
