"""vmlinuz to vmlinux: every compressor, real images, and bytes that lie."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import struct
from collections.abc import Callable

import lz4.block
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from lkm.errors import FormatError, LkmError, UnsupportedError
from lkm.vmlinux import payload
from tests.support import vmlinux_writer as writer
from tests.support.kernels import KernelFiles, fetched

KERNEL = writer.elf({".rodata": (writer.BASE, b"a kernel " * 4000)})


def _lz4(data: bytes) -> bytes:
    return writer.lz4_legacy(data, lambda block: lz4.block.compress(block, store_size=False))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "gzip": gzip.compress,
    "lz4": _lz4,
    "bzip2": bz2.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "none": lambda data: data,
}
packers = pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)


@packers
def test_boot_image_of_each_compressor(pack: Callable[[bytes], bytes]) -> None:
    # The kernel's build appends the unpacked size as four bytes.
    packed = pack(KERNEL)
    tail = b"" if packed == KERNEL else struct.pack("<I", len(KERNEL))
    image = writer.bzimage(packed + tail)
    assert payload.extract(image)[: len(KERNEL)] == KERNEL
    assert payload.release(image) == "6.1.0-test"


@packers
def test_compressed_kernel_without_a_boot_image(pack: Callable[[bytes], bytes]) -> None:
    assert payload.extract(pack(KERNEL)) == KERNEL


def test_kernel_found_by_magic_where_no_header_tells() -> None:
    decoy = b"\x1f\x8b\x08 no gzip; \xfd7zXZ\0 no xz"
    assert payload.extract(b"some stub" + decoy + gzip.compress(KERNEL)) == KERNEL


def test_efi_zboot() -> None:
    packed = gzip.compress(KERNEL)
    head = b"MZ\0\0zimg" + struct.pack("<II", 64, len(packed))
    assert payload.extract(head.ljust(64, b"\0") + packed) == KERNEL


def test_several_lz4_blocks() -> None:
    kernel = writer.elf({".rodata": (writer.BASE, bytes(20 << 20))})
    assert payload.extract(writer.bzimage(_lz4(kernel))) == kernel


@packers
def test_cut_short(pack: Callable[[bytes], bytes]) -> None:
    image = writer.bzimage(pack(KERNEL))
    with pytest.raises(FormatError, match="cut short"):
        payload.extract(image[: len(image) // 2])


@packers
def test_cut_payload_behind_a_right_header(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(KERNEL)
    if packed == KERNEL:
        return
    with pytest.raises(FormatError):
        payload.extract(writer.bzimage(packed[: len(packed) // 2]))


def test_unpacks_to_something_else() -> None:
    with pytest.raises(FormatError, match="expected an ELF kernel, found b'not a ke'"):
        payload.extract(writer.bzimage(gzip.compress(b"not a kernel at all")))


def test_lzo_is_a_named_limit() -> None:
    with pytest.raises(UnsupportedError, match="LZO"):
        payload.extract(writer.bzimage(b"\x89LZO\0\r\n\x1a\n" + bytes(64)))


@pytest.mark.parametrize(
    "pack", [PACKERS["zstd"], PACKERS["gzip"], PACKERS["xz"], PACKERS["bzip2"]]
)
def test_bomb_ends_at_the_limit(
    pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "LIMIT", 1 << 20)
    with pytest.raises(FormatError, match="more than 1 MiB"):
        payload.extract(writer.bzimage(pack(b"\x7fELF" + bytes(64 << 20))))


def test_xz_asking_for_too_much_memory() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    packed = lzma.compress(KERNEL, filters=filters)
    with pytest.raises(FormatError, match=r"[Mm]emory"):
        payload.extract(writer.bzimage(packed))


@given(st.binary(max_size=2048))
@settings(max_examples=200, deadline=None)
def test_any_bytes(data: bytes) -> None:
    for candidate in (data, writer.bzimage(data), b"MZ\0\0zimg" + data):
        with contextlib.suppress(LkmError):
            payload.extract(candidate)
        payload.release(candidate)


@pytest.mark.parametrize("kernel", fetched(), ids=lambda kernel: kernel.release)
def test_real_images(kernel: KernelFiles) -> None:
    data = kernel.vmlinuz.read_bytes()
    assert payload.is_kernel(payload.extract(data))
    assert payload.release(data) == kernel.release


def test_modules_are_no_kernel(kernel: KernelFiles) -> None:
    module = next(kernel.modules.glob("kernel/drivers/**/*.ko"))
    text = kernel.root / f"boot/config-{kernel.release}"
    # A module is an ELF file too, and is told from a kernel by what it lacks, not here.
    assert payload.extract(module.read_bytes())[:4] == b"\x7fELF"
    with pytest.raises(FormatError, match="expected a kernel image") as caught:
        payload.extract(text.read_bytes(), str(text))
    assert "vmlinuz" in caught.value.hint
