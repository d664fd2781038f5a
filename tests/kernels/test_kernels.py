import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkm.build import kbuild
from lkm.errors import NotFoundError, UsageError
from lkm.kernels import packages
from lkm.kernels.distributions.apt import Apt
from lkm.kernels.fetch import fetch_kernel, remove_kernel
from lkm.kernels.known import find_kernel, known_kernels
from tests.support.kernels import KernelFiles


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path / "lkm/kernels"
    shutil.rmtree(tmp_path / "lkm", ignore_errors=True)


def _put(root: Path, release: str) -> None:
    (root / "lib/modules" / release / "kernel").mkdir(parents=True)
    (root / "boot").mkdir(exist_ok=True)
    (root / "boot" / f"vmlinuz-{release}").touch()


def test_the_fetched_kernel_of_the_tests_is_known_whole(kernel: KernelFiles) -> None:
    found = find_kernel(kernel.release)
    assert found.fetched
    assert (found.root, found.vmlinuz, found.modules) == (
        kernel.root,
        kernel.vmlinuz,
        kernel.modules,
    )


def test_kernels_of_a_root_and_of_the_cache_are_listed_in_order(
    cache: Path, tmp_path: Path
) -> None:
    for release in ("6.12.9-amd64", "6.1.0-56-amd64"):
        _put(cache / release, release)
    _put(tmp_path / "chroot", "6.12.10-amd64")
    (cache / ".6.1.0-9-amd64.lock").touch()
    assert [(k.release, k.fetched) for k in known_kernels(tmp_path / "chroot")] == [
        ("6.1.0-56-amd64", True),
        ("6.12.9-amd64", True),
        ("6.12.10-amd64", False),
    ]
    assert find_kernel("6.1").release == "6.1.0-56-amd64"


def test_a_kernel_that_is_not_here_says_how_to_fetch_it(cache: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_kernel("5.99")
    assert caught.value.hint == "fetch it: lkm kernels fetch 5.99"


def test_removing_takes_one_kernel_and_never_another_folder(cache: Path) -> None:
    _put(cache / "6.1.0-1-amd64", "6.1.0-1-amd64")
    _put(cache / "6.1.0-2-amd64", "6.1.0-2-amd64")
    remove_kernel("6.1.0-1-amd64")
    assert [k.release for k in known_kernels(cache)] == ["6.1.0-2-amd64"]
    with pytest.raises(UsageError):
        remove_kernel("..")
    with pytest.raises(NotFoundError):
        remove_kernel("6.1.0-1-amd64")


def test_releases_are_ordered_by_their_numbers() -> None:
    releases = ["6.12.9-amd64", "6.1.0-56-amd64", "6.12.117+deb12-amd64", "6.1.0-9-amd64"]
    assert sorted(releases, key=packages.version_key) == [
        "6.1.0-9-amd64",
        "6.1.0-56-amd64",
        "6.12.9-amd64",
        "6.12.117+deb12-amd64",
    ]


def test_apt_finds_the_packages_of_a_flavours_newest_kernel() -> None:
    newest = Apt().select("amd64")
    assert newest.image == (f"linux-image-{newest.release}",)
    assert {name.split("-")[1] for name in newest.headers} == {"headers", "kbuild"}


@pytest.mark.full
def test_apt_finds_a_release_by_itself_and_by_its_series() -> None:
    apt = Apt()
    newest = apt.select("amd64")
    assert apt.select(newest.release) == newest
    assert apt.select("6.12").release == apt.select("6.12-amd64").release
    assert apt.select("6.1").release.endswith("-amd64")
    assert "cloud" in apt.select("cloud-amd64").release
    with pytest.raises(NotFoundError, match="among the packages"):
        apt.select("4.99")


@pytest.mark.full
def test_processes_that_fetch_the_same_kernel_leave_one_that_builds_modules(
    cache: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "lkm", "kernels", "fetch", "cloud-amd64"]
    running = [
        subprocess.Popen([*command, *extra], stdout=subprocess.PIPE, text=True)
        for extra in ([], ["--headers"])
    ]
    releases = {process.communicate()[0].split()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    (release,) = releases
    assert [p.name for p in cache.iterdir() if p.is_dir()] == [release]

    source = tmp_path / "source"
    source.mkdir()
    (source / "hello.c").write_text('#include <linux/module.h>\nMODULE_LICENSE("GPL");\n')
    (source / "Makefile").write_text("obj-m := hello.o\n")
    build = find_kernel(release).headers
    assert build is not None
    subprocess.run(
        ["make", "-C", str(build), f"M={source}", "modules"],
        check=True,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL,
    )
    used = (source / ".hello.o.cmd").read_text()
    assert str(cache) in used
    assert " /usr/src/" not in used


@pytest.mark.full
def test_a_foreign_architecture_is_fetched_without_touching_the_systems_lists(cache: Path) -> None:
    kernel = fetch_kernel("arm64", architecture="arm64")
    assert kernel.release.endswith("arm64")
    assert kernel.vmlinuz is not None
    assert next((kernel.root / "lib/modules").glob("*/kernel/**/*.ko")).stat().st_size


@pytest.mark.full
def test_headers_that_hold_a_vmlinux_build_modules_without_pahole(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = fetch_kernel("6.12", headers=True).headers
    assert headers is not None
    assert (headers / "vmlinux").exists()
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    (tmp_path / "hello.c").write_text('#include <linux/module.h>\nMODULE_LICENSE("GPL");\n')
    (module,) = kbuild.build(tmp_path / "hello.c", headers).modules
    assert module.stat().st_size
