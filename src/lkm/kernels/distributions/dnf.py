"""Kernels from dnf, of Fedora, Red Hat Enterprise Linux and their kin.

A kernel is made of several packages, which provide ``kernel-uname-r = RELEASE`` and the like: what
``uname -r`` says is in no package's name. Source: Fedora's ``kernel.spec``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from lkm.errors import NotFoundError
from lkm.kernels.packages import KernelPackages, download, of_series, output, version_key
from lkm.kernels.unpack import rpm
from lkm.kernels.unpack.folder import Progress

_RELEASE = "kernel-uname-r"
_IMAGE_PARTS = ("", "modules-core-", "modules-", "modules-extra-")
_HEADER_PARTS = ("devel-",)
_NAME = "%{name}-%{version}-%{release}.%{arch}\\n"


class Dnf:
    """Asked with ``dnf repoquery`` and ``dnf download``.

    ``architecture`` is as rpm calls it (``aarch64``), ``suite`` a release of the distribution
    (``41``); ``options`` are put before all others.
    """

    def __init__(
        self,
        architecture: str | None = None,
        suite: str | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._of = f" for {architecture}" if architecture else ""
        self._of += f" in {suite}" if suite else ""
        self._dnf = ["dnf", "-q", *options]
        if architecture:
            self._dnf.append(f"--forcearch={architecture}")
        if suite:
            self._dnf.append(f"--releasever={suite}")

    def available(self) -> tuple[str, ...]:
        """See PackageSource."""
        provided = self._query("--provides", "--whatprovides", _RELEASE)
        releases = {
            line.removeprefix(f"{_RELEASE} = ")
            for line in provided
            if line.startswith(f"{_RELEASE} = ")
        }
        if not releases:
            raise NotFoundError(
                f"dnf knows no kernel{self._of}",
                hint="`dnf repolist` shows where it looks, `dnf makecache` renews what it knows",
            )
        return tuple(sorted(releases, key=version_key))

    def select(self, what: str) -> KernelPackages:
        """See PackageSource; a flavour is the architecture or a variant (``debug``, ``rt``)."""
        release = self._release(what)
        image = self._providers(release, _IMAGE_PARTS)
        return KernelPackages(release, image, self._providers(release, _HEADER_PARTS))

    def _release(self, what: str) -> str:
        releases = self.available()
        if what in releases:
            return what
        plain = [release for release in releases if not _variant(release)]
        found = [release for release in plain if release.endswith(f".{what}")]
        found = found or of_series(what, plain)
        found = found or [release for release in releases if _variant(release) == what]
        if not found:
            raise NotFoundError(
                f"no kernel {what!r} among the packages dnf knows{self._of}",
                hint="`lkm kernels --available` lists them, with --suite those of another release",
            )
        return found[-1]

    def _providers(self, release: str, parts: Sequence[str]) -> tuple[str, ...]:
        """Return the packages that hold these parts of a kernel, of a variant its own."""
        variant = _variant(release)
        begins = ["kernel-", f"kernel-{variant}-"] if variant else ["kernel-"]
        capabilities = [f"{begin}{part}uname-r = {release}" for part in parts for begin in begins]
        found = self._query("--qf", _NAME, "--whatprovides", ",".join(capabilities))
        return tuple(sorted(set(filter(None, found))))

    def _query(self, *arguments: str) -> list[str]:
        return output([*self._dnf, "repoquery", "--available", *arguments]).splitlines()

    def unpack(self, packages: Sequence[str], folder: Path, progress: Progress | None) -> None:
        """See PackageSource."""
        downloads = folder.with_name(folder.name + ".rpm")
        downloads.mkdir()
        try:
            sizes = self._query("--qf", "%{downloadsize}\\n", *packages)
            total = sum(int(size) for size in sizes if re.fullmatch(r"\d+", size))
            command = [*self._dnf, "download", "--destdir", str(downloads), *packages]
            download(command, downloads, total, progress)
            rpm.unpack(sorted(downloads.glob("*.rpm")), folder, progress)
        finally:
            shutil.rmtree(downloads)

    def unpack_c_library(self, folder: Path, progress: Progress | None) -> None:
        """See PackageSource."""
        newest = self._query("--latest-limit", "1", "--qf", _NAME, "glibc")
        self.unpack([name for name in newest if name][-1:], folder, progress)


def _variant(release: str) -> str:
    """Return which variant of a kernel it is (``debug``); empty for the plain one.

    ``uname -r`` tells after a ``+``; that of real-time kernels up to RHEL 8, in the midst.
    """
    if "+" in release:
        return release.rpartition("+")[2]
    return "rt" if re.search(r"\.rt\d", release) else ""
