"""Kernels from pacman, of Arch Linux and its kin.

Its repositories hold one version of each kernel: ``linux``, ``linux-lts`` and so on, each with a
package of its own for the headers. The release is put together as Arch's PKGBUILDs do it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from lkm.errors import NotFoundError, ToolError, UsageError
from lkm.kernels.packages import KernelPackages, download, of_series, output, version_key
from lkm.kernels.unpack import arch as arch_package
from lkm.kernels.unpack.folder import Progress

_VERSION = re.compile(
    r"(?:\d{1,9}:)?(\d{1,9}(?:\.\d{1,9}){1,9})(?:\.([a-z]{1,20}\d{0,9}))?-(\d{1,9}(?:\.\d{1,9})?)"
)


class Pacman:
    """Asked with ``pacman -Sl`` and ``pacman -Sw``, with a database of its own beside the system's.

    Pacman checks what it downloads; to do so without root it needs ``fakeroot``. ``options`` are
    put before all others. Raises UsageError for another architecture or suite, which it has not.
    """

    def __init__(
        self,
        architecture: str | None = None,
        suite: str | None = None,
        options: Sequence[str] = (),
    ) -> None:
        if architecture or suite:
            raise UsageError(
                "pacman has kernels of this machine's architecture and of one suite only",
                hint="leave out --arch and --suite",
            )
        self._options = list(options)

    def available(self) -> tuple[str, ...]:
        """See PackageSource."""
        return tuple(sorted(self._kernels(), key=version_key))

    def select(self, what: str) -> KernelPackages:
        """See PackageSource; a flavour is ``linux``, ``linux-lts`` or ``lts``."""
        kernels = self._kernels()
        release = what if what in kernels else self._release(what, kernels)
        name = kernels[release]
        return KernelPackages(release, (name,), (f"{name}-headers",))

    def _release(self, what: str, kernels: Mapping[str, str]) -> str:
        """Return the release of a flavour, or the newest of a series, the plain kernel's first."""
        for release, name in kernels.items():
            if name in (what, f"linux-{what}"):
                return release
        found = of_series(what, sorted(kernels, key=version_key))
        if not found:
            raise NotFoundError(
                f"no kernel {what!r} among the packages pacman knows",
                hint="`lkm kernels --available` lists them; `sudo pacman -Sy` renews the list",
            )
        return next((r for r in found if kernels[r] == "linux"), found[-1])

    def _kernels(self) -> dict[str, str]:
        """Return the name of each kernel's package, by its release."""
        listed = output(["pacman", *self._options, "-Sl"]).splitlines()
        versions = {name: version for _, name, version, *_ in map(str.split, listed)}
        found = {}
        for name, version in versions.items():
            parts = _VERSION.fullmatch(version)
            if name.startswith("linux") and f"{name}-headers" in versions and parts:
                found[_release(name, *parts.groups())] = name
        if not found:
            raise NotFoundError("pacman knows no kernel", hint="sudo pacman -Sy")
        return found

    def unpack(self, packages: Sequence[str], folder: Path, progress: Progress | None) -> None:
        """See PackageSource."""
        work = folder.with_name(folder.name + ".pacman")
        downloads, database = work / "packages", work / "database"
        downloads.mkdir(parents=True)
        (database / "local").mkdir(parents=True)
        try:
            (database / "sync").symlink_to(self._database() / "sync")
            command = [
                *_as_root(), "pacman", *self._options, "--dbpath", str(database),
                "--cachedir", str(downloads), "--logfile", os.devnull,
                "--noconfirm", "--noprogressbar", *_unboxed(), "-Swdd", *packages,
            ]  # fmt: skip
            download(command, downloads, self._size(packages), progress)
            found = [p for p in sorted(downloads.iterdir()) if ".pkg.tar" in p.name]
            arch_package.unpack([p for p in found if p.suffix != ".sig"], folder, progress)
        finally:
            shutil.rmtree(work)

    def _database(self) -> Path:
        for option, value in zip(self._options, self._options[1:], strict=False):
            if option == "--dbpath":
                return Path(value).absolute()
        return Path(output(["pacman-conf", "DBPath"]).strip())

    def _size(self, packages: Sequence[str]) -> int:
        asked = ["pacman", *self._options, "-Spdd", "--print-format", "%s", *packages]
        return sum(int(size) for size in output(asked).split() if size.isdigit())

    def unpack_c_library(self, folder: Path, progress: Progress | None) -> None:
        """See PackageSource."""
        self.unpack(["glibc"], folder, progress)


def _release(name: str, version: str, local: str | None, package_release: str) -> str:
    numbers = version if version.count(".") > 1 else f"{version}.0"
    flavour = name.removeprefix("linux")
    return "-".join(filter(None, (numbers, local, package_release))) + flavour


def _as_root() -> list[str]:
    if os.geteuid() == 0:
        return []
    if shutil.which("fakeroot") is None:
        raise ToolError(
            "no fakeroot is installed, without which pacman downloads for root only",
            hint="sudo pacman -S fakeroot",
        )
    return ["fakeroot", "--"]


def _unboxed() -> list[str]:
    """Return the option of pacman 7 without which it becomes another user, which needs root."""
    known = "--disable-sandbox" in output(["pacman", "-Sh"])
    return ["--disable-sandbox"] if known and os.geteuid() else []
