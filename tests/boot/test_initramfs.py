"""``lkm initramfs`` on images that initramfs-tools and dracut made, beside their own listings."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lkm.boot.image import read_image
from lkm.errors import NotFoundError, UsageError
from lkm.kernel import cpio
from lkm.operations.boot import initramfs
from tests.boot.images import by_dracut, by_initramfs_tools, packed, small
from tests.support.kernels import KernelFiles
from tests.support.modules import built
from tests.support.tools import lkm


def answer(*arguments: str) -> tuple[int, str]:
    """The exit status and the text of an ``lkm initramfs``."""
    status, out, _ = lkm("initramfs", *arguments)
    return status, out.decode()


@pytest.fixture(scope="module")
def debian(kernel: KernelFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return by_initramfs_tools(kernel, tmp_path_factory.mktemp("debian"))


@pytest.fixture(scope="module")
def fedora(kernel: KernelFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return by_dracut(kernel, tmp_path_factory.mktemp("fedora"))


def test_listed_as_lsinitramfs_does(debian: Path) -> None:
    theirs = subprocess.run(["lsinitramfs", debian], capture_output=True, check=True).stdout
    assert answer("list", str(debian)) == (0, theirs.decode())


def test_listed_as_lsinitrd_does(fedora: Path) -> None:
    listing = subprocess.run(["lsinitrd", fedora], capture_output=True, text=True, check=True)
    rows = listing.stdout.split("=" * 72)[-2].splitlines()
    theirs = {re.split(r"\s+", row, maxsplit=8)[8].split(" -> ")[0] for row in rows if row.strip()}
    assert {member.name for member in initramfs.list_members(fedora)} == theirs


@pytest.mark.parametrize("generator", ["debian", "fedora"])
def test_the_generator_and_the_modules(
    generator: str, kernel: KernelFiles, request: pytest.FixtureRequest
) -> None:
    image = read_image(request.getfixturevalue(generator))
    assert image.generator == {"debian": "initramfs-tools", "fedora": "dracut"}[generator]
    assert image.releases == (kernel.release,)
    names = {module.name for module in image.modules}
    assert {"ext4", "jbd2", "mbcache", "loop"} <= names
    assert all(module.built_for == kernel.release for module in image.modules)
    assert initramfs.show_image(image.path).missing == ()


def test_why_a_module_is_in(debian: Path) -> None:
    ext4 = initramfs.why_in_image(debian, "ext4")
    assert (ext4.state, ext4.named_by) == ("packed", ("conf/modules",))
    jbd2 = initramfs.why_in_image(debian, "jbd2")
    assert ("ext4", "jbd2") in jbd2.needed_by
    assert initramfs.why_in_image(debian, "unix").state == "built-in"


def test_why_a_module_is_not_in(debian: Path, fedora: Path, kernel: KernelFiles) -> None:
    status, text = answer("why", str(debian), "btrfs")
    assert status == 1
    assert "/etc/initramfs-tools/modules" in text
    assert f"update-initramfs -u -k {kernel.release}" in text
    assert "add_drivers" in answer("why", str(fedora), "btrfs")[1]


def test_a_dependency_that_was_left_out(tmp_path: Path) -> None:
    folder = "lib/modules/6.1.0-56-amd64/kernel"
    image = tmp_path / "image"
    module = built("importer").read_bytes()
    image.write_bytes(cpio.archive([cpio.regular(f"{folder}/importer.ko", module)]))
    report = initramfs.show_image(image)
    assert report.missing == (("exporter", "importer"),)
    assert any("modules.builtin" in text for text in report.not_checked)
    assert "exporter, which importer needs" in answer("show", str(image))[1]


def test_a_module_of_another_release(tmp_path: Path) -> None:
    image = tmp_path / "image"
    module = built("hello").read_bytes()
    image.write_bytes(cpio.archive([cpio.regular("lib/modules/6.9.9-x/hello.ko", module)]))
    (foreign,) = initramfs.show_image(image).foreign
    assert (foreign.name, foreign.release) == ("hello", "6.9.9-x")


def test_a_blacklist_that_is_not_in_the_image(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc/modprobe.d").mkdir(parents=True)
    (root / "etc/modprobe.d/no.conf").write_text("blacklist nouveau\noptions loop max_loop=8\n")
    (tmp_path / "image").write_bytes(
        cpio.archive([cpio.regular("etc/modprobe.d/no.conf", b"options loop max_loop=8\n")])
    )
    report = initramfs.show_image(tmp_path / "image", str(root))
    assert [(where, rule.kind, rule.name) for where, rule in report.stale] == [
        ("root", "blacklist", "nouveau")
    ]


def test_extracted_as_it_is(debian: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    subprocess.run(["unmkinitramfs", debian, theirs], check=True)
    count = initramfs.extract_image(debian, tmp_path / "ours")
    files = [path for path in theirs.rglob("*") if path.is_file() and not path.is_symlink()]
    assert count >= len(files) > 100
    for path in files:
        assert (tmp_path / "ours" / path.relative_to(theirs)).read_bytes() == path.read_bytes()


def test_extracted_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(small("../outside"))
    with pytest.raises(Exception, match="leaves the archive"):
        initramfs.extract_image(tmp_path / "image", tmp_path / "folder")
    assert not (tmp_path / "outside").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(UsageError):
        initramfs.extract_image(tmp_path / "image", tmp_path / "full")


def test_the_differences_of_two_images(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(small("init", "bin/a"))
    new.write_bytes(
        packed(
            cpio.archive(
                [
                    cpio.regular("init", b"longer than before"),
                    cpio.regular("etc/modprobe.d/x.conf", b"blacklist floppy\n"),
                ]
            ),
            "zstd",
        )
    )
    status, text = answer("diff", str(old), str(new))
    assert status == 1
    assert {"- bin/a", "+ etc/modprobe.d/x.conf", "~ init"} <= set(text.splitlines())
    assert "+ blacklist floppy" in text
    assert answer("diff", str(old), str(old)) == (0, "")


def test_json(debian: Path) -> None:
    document = json.loads(answer("show", "--json", str(debian))[1])
    assert document["schema"] == "lkm.initramfs/1"
    assert document["report"]["image"]["generator"] == "initramfs-tools"


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(small("a\x1b[31mb\nc"))
    assert answer("list", str(tmp_path / "image")) == (0, "a\\x1b[31mb c\n")


def test_an_image_without_modules_says_so(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(small("init"))
    with pytest.raises(NotFoundError, match="holds no modules"):
        initramfs.why_in_image(tmp_path / "image", "ext4")


def test_the_programs_of_this_test_are_installed() -> None:
    for program in ("lsinitramfs", "lsinitrd", "unmkinitramfs"):
        assert shutil.which(program), "apt-get install initramfs-tools-core dracut-core"
