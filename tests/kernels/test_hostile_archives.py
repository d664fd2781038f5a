"""Archives that would leave their folder, fill the disk, or hold names that no file can have."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path

import pytest

from lkm.errors import FormatError
from lkm.kernels.unpack import folder
from lkm.kernels.unpack.folder import Unpacked, unpack_tar
from lkm.kernels.unpack.rpm import unpack_cpio

NAMES = ["x" * 300, "a/" * 3000 + "b", "na\udcffme", "a\nb", "\x1b[2J", "usr\0/x", ".", "", "a//b"]


def tar(*members: tuple[str, bytes, str]) -> io.BytesIO:
    """An archive of (name, type, link name)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", errors="surrogateescape") as archive:
        for name, kind, link in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind, link, 0o6777
            if kind == tarfile.REGTYPE:
                member.size = 4
            archive.addfile(member, io.BytesIO(b"data"))
    made.seek(0)
    return made


def cpio(name: str, mode: int, data: bytes = b"data") -> io.BytesIO:
    made = b""
    for member, kind, content in ((name, mode, data), ("TRAILER!!!", 0, b"")):
        encoded = member.encode(errors="surrogateescape") + b"\0"
        fields = (1, kind, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        made += b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
        made += bytes(-len(made) % 4) + content
        made += bytes(-len(made) % 4)
    return io.BytesIO(made)


def place(tmp_path: Path) -> Unpacked:
    inside = tmp_path / "inside"
    inside.mkdir()
    return Unpacked(inside)


def below(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "inside")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK])
def test_names_in_cpio(tmp_path: Path, name: str, kind: int) -> None:
    unpacked = place(tmp_path)
    try:
        unpack_cpio(cpio(name, kind | 0o777), unpacked, lambda done, total: None)
        unpacked.finish()
    except FormatError:
        pass  # a file or an error, nothing else
    assert below(tmp_path) == []


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/../x"])
def test_names_that_leave(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError):
        unpack_tar(tar((name, tarfile.REGTYPE, "")), "", place(tmp_path))
    assert below(tmp_path) == []


def test_kinds_that_clash(tmp_path: Path) -> None:
    archive = tar(("a", tarfile.REGTYPE, ""), ("a/b", tarfile.REGTYPE, ""))
    with pytest.raises(FormatError):
        unpack_tar(archive, "", place(tmp_path))


def test_a_link_to_nothing_a_name_can_be(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        unpack_cpio(
            cpio("link", stat.S_IFLNK | 0o777, b"a\0b"), place(tmp_path), lambda done, total: None
        )


def test_no_device_and_no_setuid(tmp_path: Path) -> None:
    members = [("dev", tarfile.CHRTYPE, ""), ("pipe", tarfile.FIFOTYPE, "")]
    unpacked = place(tmp_path)
    unpack_tar(tar(*members, ("program", tarfile.REGTYPE, "")), "", unpacked)
    unpacked.finish()
    (found,) = (tmp_path / "inside").iterdir()
    assert stat.S_IMODE(found.stat().st_mode) == 0o755


def test_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LARGEST_TOTAL", 6)
    archive = tar(("a", tarfile.REGTYPE, ""), ("b", tarfile.REGTYPE, ""))
    with pytest.raises(FormatError, match="at most"):
        unpack_tar(archive, "", place(tmp_path))
