import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkm.errors import FormatError, LkmError
from lkm.kernels.unpack import deb


def _ar(*members: tuple[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data
        out += b"\n" * (len(data) % 2)
    return out


def _package(fill: Callable[[tarfile.TarFile], None]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        fill(archive)
    data = lzma.compress(buffer.getvalue())
    return _ar(("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", data))


def _add(archive: tarfile.TarFile, name: str, content: bytes = b"", link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    if link:
        member.type, member.linkname = tarfile.SYMTYPE, link
    archive.addfile(member, io.BytesIO(content))


def _unpacked(tmp_path: Path, package: bytes) -> Path:
    path = tmp_path / "p.deb"
    path.write_bytes(package)
    folder = tmp_path / "root"
    folder.mkdir()
    deb.unpack([path], folder)
    return folder


def test_absolute_links_are_made_relative_to_the_folder(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        _add(archive, "./lib/modules/1/build", link="/usr/src/headers")
        _add(archive, "./usr/src/headers/Makefile", b"all:\n")

    folder = _unpacked(tmp_path, _package(fill))
    assert (folder / "lib/modules/1/build").readlink() == Path("../../../usr/src/headers")
    assert (folder / "lib/modules/1/build/Makefile").read_bytes() == b"all:\n"


def test_no_file_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    def fill(archive: tarfile.TarFile) -> None:
        _add(archive, "./a", link=str(outside))
        _add(archive, "./b", link="../outside")
        _add(archive, "./b/evil", b"x")

    with pytest.raises((LkmError, OSError)):
        _unpacked(tmp_path, _package(fill))
    assert list(outside.iterdir()) == []


def test_a_name_that_leaves_the_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="leaves the archive"):
        _unpacked(tmp_path, _package(lambda archive: _add(archive, "../evil", b"x")))
    assert not (tmp_path / "evil").exists()


def test_a_merged_usr_package_gets_its_lib(tmp_path: Path) -> None:
    package = _package(lambda archive: _add(archive, "./usr/lib/modules/1/modules.order", b"x"))
    assert (_unpacked(tmp_path, package) / "lib/modules/1/modules.order").exists()


WHOLE = _package(lambda archive: _add(archive, "./f", b"content" * 100))


@given(st.data())
def test_damaged_packages_are_answered_with_an_error_or_files(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    damaged = bytearray(WHOLE[: data.draw(st.integers(0, len(WHOLE)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        _unpacked(tmp_path_factory.mktemp("damaged"), bytes(damaged))
    except LkmError:
        return
