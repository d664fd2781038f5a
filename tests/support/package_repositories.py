"""Repositories of other distributions' packages, made by their own tools, with a real kernel in."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from lkm.kernels.distributions import choose as package_tools
from lkm.kernels.distributions.dnf import Dnf
from lkm.kernels.distributions.pacman import Pacman
from lkm.kernels.known import KnownKernel
from tests.support.kernels import KernelFiles

# ext4 and all it needs.
MODULES = (
    "kernel/fs/ext4/ext4.ko",
    "kernel/fs/jbd2/jbd2.ko",
    "kernel/fs/mbcache.ko",
    "kernel/lib/crc16.ko",
    "kernel/arch/x86/crypto/crc32c-intel.ko",
    "kernel/crypto/crc32c_generic.ko",
)
INPUTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")


@dataclass(frozen=True)
class Built:
    """A package: its name, the files in it (below a folder), and what it provides."""

    name: str
    files: Path
    provides: tuple[str, ...] = ()


def put_kernel(folder: Path, kernel: KernelFiles) -> None:
    """Fill ``folder``, a module directory, with an image and some modules of ``kernel``."""
    for name in (*MODULES, *INPUTS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(kernel.modules / name, folder / name)
    shutil.copy(kernel.vmlinuz, folder / "vmlinuz")


def put_headers(folder: Path) -> None:
    """Fill ``folder`` with what looks like a kernel's headers, and a program of kbuild's."""
    (folder / "scripts").mkdir(parents=True)
    (folder / "Makefile").write_text("all:\n")
    shutil.copy("/bin/true", folder / "scripts/modpost")


def rpm_repository(folder: Path, version: str, release: str, packages: list[Built]) -> Path:
    """Make a repository of RPM packages, and return the folder of its ``.repo`` file."""
    spec = folder / "kernel.spec"
    head = [f"Name: kernel\nVersion: {version}\nRelease: {release}\nSummary: -\nLicense: -"]
    head.append("%description\n-")
    for package in packages:
        name = package.name.removeprefix("kernel-")
        provided = "".join(f"\nProvides: {capability}" for capability in package.provides)
        head.append(f"%package {name}\nSummary: -{provided}\n%description {name}\n-")
    head.append("%install")
    head += [f"cp -a {package.files}/. %{{buildroot}}/" for package in packages]
    for package in packages:
        head.append(f"%files {package.name.removeprefix('kernel-')}")
        inside = sorted(p for p in package.files.rglob("*") if p.is_symlink() or not p.is_dir())
        head += [f"/{path.relative_to(package.files)}" for path in inside]
    spec.write_text("\n".join(head) + "\n")
    settings = {
        "_topdir": folder / "top",
        "_rpmdir": folder / "repository",
        "__os_install_post": "%{nil}",
        "_build_id_links": "none",
        "_binary_payload": "w1.zstdio",
    }
    defines = [w for name, value in settings.items() for w in ("--define", f"{name} {value}")]
    _run("rpmbuild", "-bb", "--quiet", "--target", "x86_64", *defines, spec)
    _run("createrepo_c", "-q", folder / "repository")
    repos = folder / "repos"
    repos.mkdir()
    (repos / "kernel.repo").write_text(
        f"[kernel]\nname=kernel\nbaseurl=file://{folder}/repository\nenabled=1\ngpgcheck=0\n"
    )
    return repos


def arch_repository(folder: Path, packages: dict[str, tuple[str, Path]]) -> Path:
    """Make a repository of Arch packages, name → version and files, with its database fetched.

    Returns a ``pacman.conf`` that names it.
    """
    repository = folder / "repository"
    repository.mkdir()
    for name, (version, files) in packages.items():
        (files / ".PKGINFO").write_text(
            f"pkgname = {name}\npkgbase = {name}\npkgver = {version}\npkgdesc = -\nurl = -\n"
            "builddate = 1700000000\npackager = -\nsize = 1\narch = x86_64\nlicense = GPL\n"
        )
        target = repository / f"{name}-{version}-x86_64.pkg.tar.zst"
        _run("tar", "--zstd", "-cf", target, "-C", files, ".PKGINFO", "usr")
    _run("repo-add", "-q", repository / "core.db.tar.gz", *sorted(repository.glob("*.zst")))
    config, database = folder / "pacman.conf", folder / "database"
    database.mkdir()
    config.write_text(
        f"[options]\nArchitecture = x86_64\nSigLevel = Never\nDBPath = {database}\n"
        f"[core]\nServer = file://{repository}\n"
    )
    _run("pacman", "--config", config, "--logfile", "/dev/null", "-Sy")
    return config


def serve(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tool: type[Dnf | Pacman], options: list[str]
) -> Path:
    """Have kernels fetched through ``tool``, into a cache in ``folder``; return where they go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setattr(
        package_tools,
        "package_source",
        lambda architecture, suite: tool(architecture, suite, options),
    )
    return folder / "lkm/kernels"


def check_whole(found: KnownKernel, release: str, cache: Path) -> None:
    """Assert that a kernel was fetched, without headers, and that kmod finds its modules."""
    folder = found.root / "lib/modules" / release
    assert (found.release, found.root, found.headers) == (release, cache / release, None)
    assert found.vmlinuz == folder / "vmlinuz"
    shown = subprocess.run(
        ["modprobe", "-d", found.root, "-S", release, "-C", "/dev/null", "-D", "ext4"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for path in MODULES:
        assert f"insmod {folder}/{path}" in shown


def _run(*command: object) -> None:
    done = subprocess.run([str(w) for w in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
