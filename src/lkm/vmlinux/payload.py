"""The kernel inside a boot image: vmlinuz to vmlinux.

Formats: ``Documentation/arch/x86/boot.rst`` (the setup header), ``drivers/firmware/efi/libstub/
zboot-header.S`` (EFI zboot), ``scripts/Makefile.lib`` (the compressors and what they append).
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator

from lkm.errors import FormatError, LkmError, UnsupportedError, missing_extra

LIMIT = 512 << 20
"""The largest kernel that is unpacked, in bytes; a debug kernel with KASAN has about 200 MiB."""

_ELF = b"\x7fELF"
_DECODER_MEMORY = 512 << 20
_LZ4_BLOCK = 8 << 20
_ATTEMPTS = 64


class _NotThisError(Exception):
    """The bytes are not what the decoder takes; why is in the text."""


def _xz(data: bytes) -> bytes:
    return _lzma(data, lzma.FORMAT_XZ)


def _lzma_alone(data: bytes) -> bytes:
    return _lzma(data, lzma.FORMAT_ALONE)


def _lzma(data: bytes, kind: int) -> bytes:
    decoder = lzma.LZMADecompressor(kind, memlimit=_DECODER_MEMORY)
    try:
        out = decoder.decompress(data, max_length=LIMIT + 1)
    except (lzma.LZMAError, EOFError) as error:
        raise _NotThisError(str(error)) from None
    return _whole(out, decoder.eof)


def _gzip(data: bytes) -> bytes:
    decoder = zlib.decompressobj(wbits=31)
    try:
        out = decoder.decompress(data, LIMIT + 1)
    except zlib.error as error:
        raise _NotThisError(str(error)) from None
    return _whole(out, decoder.eof)


def _bzip2(data: bytes) -> bytes:
    decoder = bz2.BZ2Decompressor()
    try:
        out = decoder.decompress(data, LIMIT + 1)
    except (OSError, EOFError, ValueError) as error:
        raise _NotThisError(str(error)) from None
    return _whole(out, decoder.eof)


def _zstd(data: bytes) -> bytes:
    import zstandard  # only for kernels packed with it

    decoder = zstandard.ZstdDecompressor(max_window_size=1 << 28).decompressobj()
    chunks: list[bytes] = []
    size = 0
    try:
        # In small pieces: each may unpack to 32,768 times its size, and LIMIT has to hold.
        for start in range(0, len(data), 4096):
            chunks.append(decoder.decompress(data[start : start + 4096]))
            size += len(chunks[-1])
            if decoder.eof or size > LIMIT:
                break
    except zstandard.ZstdError as error:
        raise _NotThisError(str(error)) from None
    return _whole(b"".join(chunks), decoder.eof)


def _lz4(data: bytes) -> bytes:
    """Unpack the legacy frame (``lz4 -l``): blocks of 8 MiB, each behind its length."""
    try:
        import lz4.block
    except ImportError:
        raise missing_extra("lz4", "emulated") from None
    chunks: list[bytes] = []
    position = 4
    while position + 4 <= len(data) and len(chunks) * _LZ4_BLOCK <= LIMIT:
        (length,) = struct.unpack_from("<I", data, position)
        block = data[position + 4 : position + 4 + length]
        # The image's builder appends the unpacked size, which reads as a block that is too long.
        if not length or len(block) < length:
            break
        try:
            chunks.append(lz4.block.decompress(block, uncompressed_size=_LZ4_BLOCK))
        except lz4.block.LZ4BlockError as error:
            raise _NotThisError(str(error)) from None
        position += 4 + length
    return _whole(b"".join(chunks), bool(chunks))


def _lzo(_data: bytes) -> bytes:
    raise UnsupportedError(
        "the kernel is compressed with LZO, for which no library is kept",
        hint="unpack it with the kernel's scripts/extract-vmlinux and give the vmlinux file",
    )


_DECODERS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"\xfd7zXZ\0", _xz),
    (b"\x28\xb5\x2f\xfd", _zstd),
    (b"\x1f\x8b\x08", _gzip),
    (b"\x02\x21\x4c\x18", _lz4),
    (b"BZh", _bzip2),
    (b"\x89LZO\0", _lzo),
    (b"\x5d\0\0", _lzma_alone),
)


def _whole(out: bytes, complete: bool) -> bytes:
    if len(out) > LIMIT:
        raise _NotThisError(f"more than {LIMIT >> 20} MiB when unpacked")
    if not complete:
        raise _NotThisError("a compressed stream that is cut short")
    return out


def extract(data: bytes, path: str = "") -> bytes:
    """Return the kernel inside ``data``: an ELF file, or a raw arm64 ``Image``.

    ``data`` is a bzImage, an EFI zboot image, a compressed kernel or the kernel itself; it is
    taken from where its header says, else from where a compressor's magic is found. Raises
    ``FormatError`` when there is no kernel in it and ``UnsupportedError`` for LZO.
    """
    if is_kernel(data):
        return data
    place = _bzimage_payload(data) or _zboot_payload(data)
    if place is not None:
        offset, size = place
        if offset + size > len(data):
            raise FormatError(
                f"a payload of {size} bytes",
                f"{max(len(data) - offset, 0)} bytes, so the file is cut short",
                path=path,
                offset=offset,
            )
        return _unpack(data[offset : offset + size], path, offset)
    if data.startswith(tuple(magic for magic, _ in _DECODERS)):
        return _unpack(data, path, 0)
    return _search(data, path)


def is_kernel(data: bytes) -> bool:
    """Return whether ``data`` begins as an ELF file or as an uncompressed arm64 ``Image``."""
    return data.startswith(_ELF) or is_arm64_image(data)


def is_arm64_image(data: bytes) -> bool:
    """Return whether ``data`` is an arm64 ``Image`` (``Documentation/arch/arm64/booting.rst``)."""
    return data[0x38:0x3C] == b"ARM\x64"


def release(data: bytes) -> str | None:
    """Return the release named in a bzImage's setup header, or ``None`` when it names none."""
    if data[0x202:0x206] != b"HdrS":
        return None
    (pointer,) = struct.unpack_from("<H", data.ljust(0x210, b"\0"), 0x20E)
    banner = data[pointer + 0x200 : pointer + 0x200 + 256].split(b"\0")[0] if pointer else b""
    words = banner.decode("ascii", "replace").split()
    return words[0] if words else None


def _bzimage_payload(data: bytes) -> tuple[int, int] | None:
    if data[0x202:0x206] != b"HdrS" or len(data) < 0x250:
        return None
    version, offset, size = (
        struct.unpack_from(form, data, at)[0]
        for form, at in (("<H", 0x206), ("<I", 0x248), ("<I", 0x24C))
    )
    if version < 0x208 or not size:  # the two fields came with boot protocol 2.08
        return None
    sectors = data[0x1F1] or 4
    return (sectors + 1) * 512 + offset, size


def _zboot_payload(data: bytes) -> tuple[int, int] | None:
    if data[:2] != b"MZ" or data[4:8] != b"zimg" or len(data) < 16:
        return None
    offset, size = struct.unpack_from("<II", data, 8)
    return offset, size


def _unpack(payload: bytes, path: str, offset: int) -> bytes:
    if is_kernel(payload):
        return payload
    for magic, decode in _DECODERS:
        if payload.startswith(magic):
            try:
                out = decode(payload)
            except _NotThisError as error:
                raise FormatError(
                    "a compressed kernel", str(error), path=path, offset=offset
                ) from None
            if is_kernel(out):
                return out
            raise FormatError(
                "an ELF kernel", f"{out[:8]!r} when unpacked", path=path, offset=offset
            )
    raise FormatError(
        "a kernel packed with xz, zstd, gzip, lz4, bzip2 or lzma",
        repr(payload[:8]),
        path=path,
        offset=offset,
    )


def _search(data: bytes, path: str) -> bytes:
    for attempt, (offset, decode) in enumerate(_candidates(data)):
        if attempt == _ATTEMPTS:
            break
        try:
            out = decode(data[offset:])
        except (_NotThisError, LkmError):
            continue
        if is_kernel(out):
            return out
    raise FormatError(
        "a kernel image",
        f"{len(data)} bytes beginning {data[:8]!r}",
        path=path,
        hint="give a vmlinuz (often in /boot) or a vmlinux file",
    )


def _candidates(data: bytes) -> Iterator[tuple[int, Callable[[bytes], bytes]]]:
    for magic, decode in _DECODERS[:5]:
        offset = data.find(magic, 1)
        while offset > 0:
            yield offset, decode
            offset = data.find(magic, offset + 1)
