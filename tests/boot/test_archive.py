"""Archives as ``init/initramfs.c`` takes them: several, aligned or not, packed by every program."""

from __future__ import annotations

import contextlib
import random

import pytest

from lkm.boot.archive import ArchiveReader
from lkm.errors import FormatError, LkmError, UnsupportedError
from lkm.kernel import cpio
from tests.boot.images import packed, small

PROGRAMS = (
    ("gzip", "-n"), ("bzip2",), ("xz", "--check=crc32"), ("xz", "--format=lzma"), ("zstd",),
    ("lz4", "-l"),
)  # fmt: skip


def names(data: bytes) -> list[str]:
    return [member.name for member in ArchiveReader(data).members() if member.is_file]


@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_a_packed_archive_after_a_plain_one(program: tuple[str, ...]) -> None:
    tail = packed(small("etc/fstab", "init"), *program)
    reader = ArchiveReader(small("kernel/x86/microcode/GenuineIntel.bin") + bytes(508) + tail)
    files = (member for member in reader.members() if member.is_file)
    found = {member.name: reader.content() for member in files}
    assert found["init"] == b"init"
    assert list(found) == ["kernel/x86/microcode/GenuineIntel.bin", "etc/fstab", "init"]
    assert [segment.number for segment in reader.segments] == [0, 1]


def test_what_lzop_packed_is_named() -> None:
    with pytest.raises(UnsupportedError, match="lzop") as caught:
        names(packed(small("a"), "lzop", "-9"))
    assert "lzop -dc" in caught.value.hint


def test_three_packed_archives_and_zeros_of_any_number_between() -> None:
    parts = [packed(small(name), "gzip") for name in "abc"]
    assert names(parts[0] + bytes(3) + parts[1] + bytes(513) + parts[2] + bytes(7)) == [
        "a",
        "b",
        "c",
    ]


def test_archives_in_one_packed_stream() -> None:
    assert names(packed(small("a") + bytes(100) + small("b"), "zstd")) == ["a", "b"]


def test_links_devices_and_modes() -> None:
    archive = cpio.archive(
        [
            cpio.directory("dev"),
            cpio.character_device("dev/null", 1, 3),
            cpio.symlink("bin/sh", "/usr/bin/busybox"),
            cpio.regular("./init", b"#!", 0o755),
        ]
    )
    members = {member.name: member for member in ArchiveReader(archive).members()}
    assert members["dev/null"].device == (1, 3)
    assert members["bin/sh"].link == "/usr/bin/busybox"
    assert members["init"].mode & 0o777 == 0o755


@pytest.mark.parametrize("data", [b"", bytes(4096), b"x" * 200, b"070701" + b"z" * 200])
def test_what_is_no_initramfs(data: bytes) -> None:
    with pytest.raises(FormatError):
        names(data)


def test_cut_anywhere() -> None:
    refused = 0
    for whole in (small("a", "b", "c"), packed(small("a", "b", "c"), "gzip")):
        for end in range(0, len(whole), 7):
            try:
                # An archive that ends after a member has no trailer, which the kernel takes.
                assert names(whole[:end]) == ["a", "b", "c"][: len(names(whole[:end]))]
            except FormatError:
                refused += 1
    assert refused > 50


def test_mutants_are_read_or_refused() -> None:
    generator = random.Random(18)
    plain = small("init", "etc/modules", "lib/modules/6.1/kernel/a.ko")
    seeds = [plain, plain + bytes(4) + packed(plain, "gzip"), packed(plain, "zstd")]
    accepted = 0
    for _ in range(2000):
        data = bytearray(generator.choice(seeds))
        for _ in range(generator.randrange(1, 6)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        with contextlib.suppress(LkmError):
            names(bytes(data))
            accepted += 1
    assert accepted


def test_a_bomb_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lkm.boot.archive.MOST_UNPACKED", 8 << 20)
    huge = cpio.archive([cpio.regular("zeros", bytes(32 << 20))])
    with pytest.raises(FormatError, match="MiB unpacked"):
        names(packed(huge, "gzip"))


def test_a_size_past_the_end_is_refused() -> None:
    data = bytearray(small("a"))
    data[54:62] = b"FFFFFFF0"
    with pytest.raises(FormatError, match="the end of the image"):
        names(bytes(data))
