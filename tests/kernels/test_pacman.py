"""Kernels from pacman: a repository made by repo-add, asked and unpacked for real."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lkm.errors import FormatError, NotFoundError, ToolError, UsageError
from lkm.kernels.distributions import choose as package_tools
from lkm.kernels.distributions.pacman import Pacman
from lkm.kernels.fetch import fetch_kernel
from lkm.kernels.unpack import arch as arch_package
from tests.support import package_repositories as repositories
from tests.support.kernels import KernelFiles

RELEASE = "6.12.4-arch1-1"


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory, kernel: KernelFiles) -> list[str]:
    """What makes pacman ask a repository with a kernel in it, and nothing of the system's."""
    top = tmp_path_factory.mktemp("pacman")
    image, headers, other = top / "image", top / "headers", top / "other"
    repositories.put_kernel(image / "usr/lib/modules" / RELEASE, kernel)
    repositories.put_headers(headers / "usr/lib/modules" / RELEASE / "build")
    (headers / "usr/src").mkdir()
    (headers / "usr/src/linux").symlink_to(f"/usr/lib/modules/{RELEASE}/build")
    (other / "usr").mkdir(parents=True)
    config = repositories.arch_repository(
        top,
        {
            "linux": ("6.12.4.arch1-1", image),
            "linux-headers": ("6.12.4.arch1-1", headers),
            "linux-lts": ("6.6.65-2", other),
            "linux-lts-headers": ("6.6.65-2", other),
            "linux-zen": ("6.13.zen1-1", other),
            "linux-zen-headers": ("6.13.zen1-1", other),
            "linux-api-headers": ("6.10-1", other),
            "linux-firmware": ("20241210.b00a7f7e-1", other),
        },
    )
    return ["--config", str(config), "--dbpath", str(top / "database")]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> Path:
    return repositories.serve(monkeypatch, tmp_path, Pacman, options)


def test_kernels_are_what_has_headers_beside_it(options: list[str]) -> None:
    pacman = Pacman(options=options)
    assert pacman.available() == ("6.6.65-2-lts", RELEASE, "6.13.0-zen1-1-zen")
    plain = pacman.select("linux")
    assert (plain.release, plain.image, plain.headers) == (RELEASE, ("linux",), ("linux-headers",))
    assert plain == pacman.select(RELEASE) == pacman.select("6.12")
    assert pacman.select("lts").image == pacman.select("6.6").image == ("linux-lts",)
    for absent in ("6.1", "firmware", "api"):
        with pytest.raises(NotFoundError, match="among the packages pacman knows"):
            pacman.select(absent)


@pytest.mark.parametrize("root", [True, False])
def test_a_fetched_kernel_is_whole_and_indexed(
    cache: Path, monkeypatch: pytest.MonkeyPatch, *, root: bool
) -> None:
    if not root:  # pacman is then run by fakeroot
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = fetch_kernel("linux")
    folder = found.root / "lib/modules" / RELEASE
    repositories.check_whole(found, RELEASE, cache)

    with_headers = fetch_kernel(RELEASE, headers=True)
    assert with_headers.headers == folder / "build"
    assert (folder / "build/scripts/modpost").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [RELEASE]
    assert not (found.root / ".PKGINFO").exists()


def test_image_and_headers_at_once(cache: Path) -> None:
    found = fetch_kernel("linux", headers=True)
    assert found.vmlinuz
    assert found.headers
    assert (found.root / "usr/src/linux/Makefile").is_file()


def test_a_kernel_that_is_not_in_its_package(cache: Path) -> None:
    with pytest.raises(ToolError, match=r"linux-lts hold no lib/modules/6\.6\.65-2-lts"):
        fetch_kernel("lts")
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_without_root_and_fakeroot(
    tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    which = shutil.which
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "fakeroot" else which(name))
    with pytest.raises(ToolError, match="no fakeroot") as caught:
        Pacman(options=options).unpack(["linux"], tmp_path / "root", None)
    assert caught.value.hint == "sudo pacman -S fakeroot"
    assert not list(tmp_path.iterdir())


def test_what_it_does_not_have() -> None:
    for architecture, suite in (("aarch64", None), (None, "testing")):
        with pytest.raises(UsageError, match="one suite only"):
            Pacman(architecture, suite)


@pytest.mark.parametrize("data", [b"", b"no package", b"\x28\xb5\x2f\xfd damaged", b"\x1f\x8b\x08"])
def test_what_is_no_package(tmp_path: Path, data: bytes) -> None:
    folder = tmp_path / "root"
    folder.mkdir()
    path = tmp_path / "linux.pkg.tar.zst"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"linux\.pkg\.tar\.zst: expected a tar archive"):
        arch_package.unpack([path], folder)


def test_the_distributions_own_tool_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    import platform

    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    for own, expected in (
        ({"ID": "fedora"}, "Dnf"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "Dnf"),
        ({"ID": "arch"}, "Pacman"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "Apt"),
        ({}, "Apt"),
    ):
        monkeypatch.setattr(platform, "freedesktop_os_release", lambda own=own: own)
        assert type(package_tools.package_source()).__name__ == expected
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(ToolError, match="no package tool"):
        package_tools.package_source()
