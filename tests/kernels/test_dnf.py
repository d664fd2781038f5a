"""Kernels from dnf: a repository made by rpmbuild and createrepo_c, asked and unpacked for real."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lkm.errors import FormatError, NotFoundError, ToolError
from lkm.kernels.distributions.dnf import Dnf
from lkm.kernels.fetch import fetch_kernel
from lkm.kernels.unpack import rpm
from tests.support import package_repositories as repositories
from tests.support.kernels import KernelFiles
from tests.support.package_repositories import Built

RELEASE = "6.1.9-200.fc99.x86_64"
DEBUG = f"{RELEASE}+debug"
CORE = f"kernel-core-{RELEASE}"


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory, kernel: KernelFiles) -> list[str]:
    """What makes dnf ask a repository with a kernel in it, and nothing of the system's."""
    top = tmp_path_factory.mktemp("dnf")
    whole = top / "whole"
    repositories.put_kernel(whole, kernel)
    files = {name: top / name for name in ("core", "modules", "modules-extra", "devel", "debug")}
    inside = f"lib/modules/{RELEASE}"
    for name, parts in {
        "core": ("vmlinuz", *repositories.INPUTS),
        "modules": ("kernel/fs", "kernel/lib"),
        "modules-extra": ("kernel/arch", "kernel/crypto"),
    }.items():
        for part in parts:
            target = files[name] / inside / part
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(whole / part, target)
    (files["core"] / inside / "build").symlink_to(f"/usr/src/kernels/{RELEASE}")
    (files["core"] / inside / "source").symlink_to("build")
    repositories.put_headers(files["devel"] / "usr/src/kernels" / RELEASE)
    twin = files["devel"] / "usr/src/kernels" / RELEASE / "Kbuild"
    twin.hardlink_to(twin.with_name("Makefile"))
    (files["debug"] / "lib/modules" / DEBUG).mkdir(parents=True)
    shutil.copy(kernel.vmlinuz, files["debug"] / "lib/modules" / DEBUG / "vmlinuz")
    repos = repositories.rpm_repository(
        top,
        "6.1.9",
        "200.fc99",
        [
            Built("kernel-core", files["core"], (f"kernel-uname-r = {RELEASE}",)),
            Built("kernel-modules", files["modules"], (f"kernel-modules-uname-r = {RELEASE}",)),
            Built(
                "kernel-modules-extra",
                files["modules-extra"],
                (f"kernel-modules-extra-uname-r = {RELEASE}",),
            ),
            Built("kernel-devel", files["devel"], (f"kernel-devel-uname-r = {RELEASE}",)),
            Built("kernel-debug-core", files["debug"], (f"kernel-uname-r = {DEBUG}",)),
        ],
    )
    settings = {"reposdir": repos, "cachedir": top / "cache", "logdir": top}
    return ["--releasever=99", *(f"--setopt={name}={value}" for name, value in settings.items())]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> Path:
    return repositories.serve(monkeypatch, tmp_path, Dnf, options)


def test_a_kernels_packages_are_found_by_what_they_provide(options: list[str]) -> None:
    dnf = Dnf(options=options)
    assert dnf.available() == (RELEASE, DEBUG)
    plain = dnf.select("x86_64")
    assert plain == dnf.select(RELEASE) == dnf.select("6.1")
    parts = ("core", "modules", "modules-extra")
    assert plain.image == tuple(f"kernel-{part}-{RELEASE}" for part in parts)
    assert plain.headers == (f"kernel-devel-{RELEASE}",)
    assert dnf.select("debug").image == (f"kernel-debug-core-{RELEASE}",)
    for absent in ("6.12", "rt", "aarch64"):
        with pytest.raises(NotFoundError, match="among the packages dnf knows"):
            dnf.select(absent)


def test_a_fetched_kernel_is_whole_and_indexed(cache: Path) -> None:
    found = fetch_kernel("x86_64")
    folder = found.root / "lib/modules" / RELEASE
    repositories.check_whole(found, RELEASE, cache)

    with_headers = fetch_kernel(RELEASE, headers=True)
    assert with_headers.headers == folder / "build"
    assert (folder / "build").resolve() == (cache / RELEASE / "usr/src/kernels" / RELEASE).resolve()
    assert (folder / "build/Kbuild").read_text() == (folder / "build/Makefile").read_text()
    assert (folder / "build/scripts/modpost").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [RELEASE]


def test_what_dnf_says_is_shown(tmp_path: Path, options: list[str]) -> None:
    with pytest.raises(ToolError, match="download failed") as caught:
        Dnf(options=options).unpack(["kernel-nothing"], tmp_path / "root", None)
    assert "kernel-nothing" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_what_is_no_rpm_package(tmp_path: Path, options: list[str]) -> None:
    folder = tmp_path / "root"
    folder.mkdir()
    path = tmp_path / "kernel.rpm"
    path.write_bytes(b"no package")
    with pytest.raises(FormatError, match=r"kernel\.rpm: expected an RPM package"):
        rpm.unpack([path], folder)
    assert not list(folder.iterdir())


def test_a_cut_rpm_package(tmp_path: Path, options: list[str]) -> None:
    (repos,) = (o.partition("reposdir=")[2] for o in options if "reposdir=" in o)
    (whole,) = Path(repos).parent.rglob("kernel-modules-6*.rpm")
    folder = tmp_path / "root"
    folder.mkdir()
    rpm.unpack([whole], folder)
    assert (folder / f"lib/modules/{RELEASE}/kernel/fs/ext4/ext4.ko").is_file()
    data = whole.read_bytes()
    path = tmp_path / "cut.rpm"
    for size in (0, 90, 1000, len(data) // 2, len(data) - 100):
        path.write_bytes(data[:size])
        with pytest.raises(FormatError, match=r"cut\.rpm"):
            rpm.unpack([path], tmp_path / f"cut-{size}")
