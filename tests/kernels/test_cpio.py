"""The archives in RPM packages, also hostile ones."""

from __future__ import annotations

import io
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkm.errors import FormatError
from lkm.kernel import cpio
from lkm.kernels.unpack.folder import Unpacked
from lkm.kernels.unpack.rpm import unpack_cpio

ARCHIVE = cpio.archive(
    [
        cpio.directory("lib"),
        cpio.regular("lib/a", b"first", 0o755),
        cpio.regular("./usr/share/doc", b"not needed"),
        cpio.symlink("lib/b", "/lib/a"),
        cpio.regular("lib/empty", b""),
        cpio.character_device("dev/null", 1, 3),
    ]
)


def unpack(data: bytes, folder: Path) -> None:
    unpacked = Unpacked(folder)
    unpack_cpio(io.BytesIO(data), unpacked, lambda done, total: None)
    unpacked.finish()


def test_files_links_and_directories(tmp_path: Path) -> None:
    unpack(ARCHIVE, tmp_path)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    # Documentation is left out, and what is no file.
    assert found == {"dev", "lib", "lib/a", "lib/b", "lib/empty", "usr", "usr/share"}
    assert (tmp_path / "lib/a").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "lib/b").read_bytes() == b"first"
    assert (tmp_path / "lib/b").readlink() == Path("a")


def test_names_of_one_file(tmp_path: Path) -> None:
    data = b""
    for name, content in (("a", b""), ("b", b""), ("c", b"shared"), ("TRAILER!!!", b"")):
        links = 3 if len(name) == 1 else 1
        fields = (7, stat.S_IFREG | 0o644, 0, 0, links, 0, len(content), 0, 0, 0, 0)
        head = "070701" + "".join(f"{field:08x}" for field in (*fields, len(name) + 1, 0))
        member = head.encode() + name.encode() + b"\0"
        member += bytes(-len(member) % 4) + content
        data += member + bytes(-len(member) % 4)
    unpack(data, tmp_path)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"shared"}
    assert len({path.stat().st_ino for path in tmp_path.iterdir()}) == 1
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["../evil", "a/../../evil"])
def test_a_name_that_leaves_the_archive(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "root"
    folder.mkdir()
    entry = cpio.CpioEntry(name, stat.S_IFREG | 0o644, b"x")
    with pytest.raises(FormatError, match="leaves the archive"):
        unpack(cpio.archive([entry]), folder)
    assert not (tmp_path / "evil").exists()


def test_no_link_is_made_through_a_link(tmp_path: Path) -> None:
    folder, outside = tmp_path / "root", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    links = [cpio.CpioEntry("a", stat.S_IFLNK | 0o777, b"../outside")]
    links.append(cpio.CpioEntry("a/evil", stat.S_IFLNK | 0o777, b"/etc/passwd"))
    data = b"".join(cpio.archive([link])[: -len(cpio.archive([]))] for link in links)
    # The second one's directory is not among the members: it is the link.
    with pytest.raises((FormatError, OSError)):
        unpack(data + cpio.archive([]), folder)
    assert not list(outside.iterdir())


@given(st.integers(0, len(ARCHIVE) - 1), st.integers(0, 255))
def test_a_changed_byte(place: int, byte: int) -> None:
    with TemporaryDirectory() as folder:
        with suppress(FormatError, OSError):
            unpack(ARCHIVE[:place] + bytes([byte]) + ARCHIVE[place + 1 :], Path(folder, "root"))
        assert {path.name for path in Path(folder).iterdir()} <= {"root"}


@given(st.integers(0, len(ARCHIVE.rstrip(b"\0"))))
def test_a_cut_archive(size: int) -> None:
    with TemporaryDirectory() as folder, pytest.raises(FormatError):
        unpack(ARCHIVE[:size], Path(folder))
