"""Compressed modules: gzip, xz and zstd, recognised by their first bytes, not by the file name.

The kernel's own choices are CONFIG_MODULE_COMPRESS_* (``scripts/Makefile.modinst``); what it and
kmod write is ``gzip -n``, ``xz --check=crc32 --lzma2=dict=1MiB`` and ``zstd``.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import sys
import threading
from enum import Enum

from lkm.errors import FormatError, UnsupportedError

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MEMORY_LIMIT = 128 * 1024 * 1024
"""Largest dictionary or window a decompressor may ask for, in bytes."""

_SMALLEST_LIMIT = 16 * 1024 * 1024
_LARGEST_RATIO = 64
_ZSTD_STEP = 1024
_MOST_STREAMS = 1024


class Compression(Enum):
    """How a module file is packed; the value is its name."""

    NONE = "none"
    GZIP = "gzip"
    XZ = "xz"
    ZSTD = "zstd"

    @property
    def suffix(self) -> str:
        """The file name's suffix after ``.ko``."""
        return _SUFFIXES[self]


_SUFFIXES = {
    Compression.NONE: "",
    Compression.GZIP: ".gz",
    Compression.XZ: ".xz",
    Compression.ZSTD: ".zst",
}


def detect(data: bytes) -> Compression:
    """Return how ``data`` is packed, judged by its magic; its first 6 bytes suffice."""
    for magic, compression, _ in _KINDS:
        if data.startswith(magic):
            return compression
    return Compression.NONE


def decompress(data: bytes, *, path: str = "") -> bytes:
    """Return ``data`` unpacked, or as it is when it is not packed.

    At most 64 times the packed size (but no less than 16 MiB) is unpacked; a bomb, a broken or a
    cut stream raises ``FormatError``.
    """
    for magic, compression, unpack in _KINDS:
        if not data.startswith(magic):
            continue
        result, why = unpack(data, max(_SMALLEST_LIMIT, _LARGEST_RATIO * len(data)))
        if why:
            tool = _TOOLS[compression]
            raise FormatError(
                f"{compression.value} data that ends",
                why,
                path=path,
                hint=f"the file is truncated or damaged; unpack it with `{tool}` to see",
            )
        return result
    return data


_TOOLS = {Compression.GZIP: "gzip -t", Compression.XZ: "xz -t", Compression.ZSTD: "zstd -t"}


def _gunzip(data: bytes, limit: int) -> tuple[bytes, str]:
    import zlib  # each only where a module is packed so

    def member(rest: bytes, room: int) -> tuple[bytes, bytes | None]:
        decoder = zlib.decompressobj(wbits=31)
        unpacked = decoder.decompress(rest, room)
        return unpacked, decoder.unused_data if decoder.eof else None

    try:
        return _parts(data, b"\x1f\x8b", limit, member)
    except zlib.error as error:
        return b"", str(error)


def _unxz(data: bytes, limit: int) -> tuple[bytes, str]:
    import lzma

    def stream(rest: bytes, room: int) -> tuple[bytes, bytes | None]:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_LIMIT)
        unpacked = decoder.decompress(rest, room)
        # Between and behind streams there may be padding of zeros (xz(1)).
        return unpacked, decoder.unused_data.lstrip(b"\0") if decoder.eof else None

    try:
        return _parts(data, b"\xfd7zXZ\0", limit, stream)
    except lzma.LZMAError as error:
        return b"", str(error)


def _parts(
    data: bytes,
    magic: bytes,
    limit: int,
    unpack: Callable[[bytes, int], tuple[bytes, bytes | None]],
) -> tuple[bytes, str]:
    """Unpack a file of several streams one after the other, as all three formats allow.

    ``unpack`` takes what is left and the room there is; it returns what it unpacked and what is
    left after that, ``None`` where the stream did not end.
    """
    pieces: list[bytes] = []
    size, rest = 0, data
    while rest.startswith(magic):
        unpacked, left = unpack(rest, limit - size + 1)
        pieces.append(unpacked)
        size += len(unpacked)
        if left is None or size > limit:
            return b"".join(pieces), _ending(False, size, limit)
        if len(pieces) >= _MOST_STREAMS:
            return b"", f"more than {_MOST_STREAMS} streams"
        rest = left
    return b"".join(pieces) if len(pieces) > 1 else pieces[0], ""


def _unzstd(data: bytes, limit: int) -> tuple[bytes, str]:
    # One for each thread, for making one takes as long as unpacking a small module.
    decompressor = getattr(_of_thread, "decompressor", None)
    if decompressor is None:
        decompressor = zstandard().ZstdDecompressor(max_window_size=MEMORY_LIMIT)
        _of_thread.decompressor = decompressor
    library = zstandard()

    def frame(rest: bytes, room: int) -> tuple[bytes, bytes | None]:
        decoder = decompressor.decompressobj()
        pieces, size = [], 0
        # In small steps, for the decoder has no limit of its own: 1 KiB gives at most 32 MiB.
        for start in range(0, len(rest), _ZSTD_STEP):
            end = start + _ZSTD_STEP
            pieces.append(decoder.decompress(rest[start:end]))
            size += len(pieces[-1])
            if decoder.eof:
                left = decoder.unused_data + rest[end:]
                return b"".join(pieces), _without_skippable_frames(left)
            if size >= room:
                break
        return b"".join(pieces), None

    try:
        if 0 <= library.frame_content_size(data) <= limit:
            # The zstd program notes the size of a file it packs: at once is five times as fast.
            return decompressor.decompress(data, allow_extra_data=False), ""
    except library.ZstdError:
        pass  # several frames, or damaged: told apart below
    try:
        return _parts(data, b"\x28\xb5\x2f\xfd", limit, frame)
    except library.ZstdError as error:
        return b"", str(error)


def _without_skippable_frames(data: bytes) -> bytes:
    """Return what follows skippable frames, which hold nothing of the file (RFC 8878, 3.1.2)."""
    while len(data) >= 8 and data[1:4] == b"\x2a\x4d\x18" and data[0] >> 4 == 5:
        data = data[8 + int.from_bytes(data[4:8], "little") :]
    return data


_of_thread = threading.local()


@functools.cache
def zstandard() -> Any:
    """Return the zstd library; raises ``UnsupportedError`` where it is not installed.

    It is the half of the package that is in C, where there is one: the rest takes 15 ms to import.
    """
    finder = importlib.machinery.PathFinder
    package = finder.find_spec("zstandard")
    name = "zstandard.backend_c"
    found = package and finder.find_spec(name, package.submodule_search_locations)
    if name not in sys.modules and found and found.loader:
        sys.modules[name] = module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        return module
    try:
        return importlib.import_module("zstandard")
    except ImportError as error:
        raise UnsupportedError(
            "zstd needs the Python package zstandard", hint="pip install zstandard"
        ) from error


def _ending(complete: bool, size: int, limit: int) -> str:
    if complete:
        return ""
    return f"more than {limit:#x} bytes" if size >= limit else "a cut stream"


_KINDS = (
    (b"\x1f\x8b", Compression.GZIP, _gunzip),
    (b"\xfd7zXZ\0", Compression.XZ, _unxz),
    (b"\x28\xb5\x2f\xfd", Compression.ZSTD, _unzstd),
)


def compress(data: bytes, compression: Compression) -> bytes:
    """Return ``data`` packed the way ``make modules_install`` does."""
    if compression is Compression.GZIP:
        import gzip

        return gzip.compress(data, mtime=0)
    if compression is Compression.XZ:
        import lzma

        filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20}]
        return lzma.compress(data, lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters)
    if compression is Compression.ZSTD:
        packed: bytes = zstandard().ZstdCompressor(level=3).compress(data)
        return packed
    return data
