import subprocess

import pytest

from lkm.errors import FormatError
from lkm.module import compression
from lkm.module.compression import Compression

DATA = b"\x7fELF" + bytes(range(256)) * 700

TOOLS = {
    Compression.GZIP: ["gzip", "-n"],
    Compression.XZ: ["xz", "--check=crc32", "--lzma2=dict=1MiB"],
    Compression.ZSTD: ["zstd", "-q"],
}
PACKED = sorted(TOOLS, key=lambda c: c.value)


@pytest.mark.parametrize("kind", PACKED)
def test_reads_what_the_real_tool_packs(kind: Compression) -> None:
    packed = subprocess.run(TOOLS[kind], input=DATA, stdout=subprocess.PIPE, check=True).stdout
    assert compression.detect(packed) is kind
    assert compression.decompress(packed) == DATA


@pytest.mark.parametrize("kind", PACKED)
def test_the_real_tool_reads_what_we_pack(kind: Compression) -> None:
    packed = compression.compress(DATA, kind)
    tool = [TOOLS[kind][0], "-dc"]
    assert subprocess.run(tool, input=packed, stdout=subprocess.PIPE, check=True).stdout == DATA


@pytest.mark.parametrize("kind", PACKED)
def test_a_cut_stream_is_a_format_error(kind: Compression) -> None:
    packed = compression.compress(DATA, kind)
    for size in (len(packed) // 2, len(packed) - 1, 8):
        with pytest.raises(FormatError):
            compression.decompress(packed[:size])


@pytest.mark.parametrize("kind", PACKED)
def test_a_bomb_is_refused(kind: Compression) -> None:
    bomb = compression.compress(bytes(64 << 20), kind)
    assert len(bomb) * 64 < 64 << 20
    with pytest.raises(FormatError, match="more than"):
        compression.decompress(bomb)


def test_what_is_not_packed_stays_as_it_is() -> None:
    assert compression.detect(DATA) is Compression.NONE
    assert compression.decompress(DATA) is DATA
