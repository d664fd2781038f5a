"""Kernels from apt, of Debian, Ubuntu and their kin.

It is asked with ``apt-cache`` and ``apt-get download``. A foreign architecture or another suite
gets package lists of its own in lkm's cache, so that the system's are not touched.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lkm.errors import NotFoundError
from lkm.kernels.distributions import apt_suites as apt_lists
from lkm.kernels.packages import KernelPackages, download, output, version_key
from lkm.kernels.unpack import deb
from lkm.kernels.unpack.folder import Progress

_IMAGE = "linux-image-"
_KERNEL_PART = re.compile(r"linux-(image|binary|base|modules|modules-extra)-\d")
_HEADER_PART = re.compile(r"linux-(headers|kbuild)-\d")


class Apt:
    """Debian, Ubuntu and their kin, through apt-cache and ``apt-get download``."""

    def __init__(self, architecture: str | None = None, suite: str | None = None) -> None:
        native = output(["apt-config", "shell", "a", "APT::Architecture"]).split("'")[1]
        self._architecture = architecture or native
        self._suite = suite
        self._foreign = self._architecture != native
        self._options: list[str] = []
        if self._foreign or suite:
            self._options = apt_lists.options(self._architecture, suite)

    def __str__(self) -> str:
        return self._architecture + (f" in {self._suite}" if self._suite else "")

    def available(self) -> tuple[str, ...]:
        """See PackageSource."""
        names = output(["apt-cache", *self._options, "pkgnames", _IMAGE]).split()
        releases = {
            name.removeprefix(_IMAGE)
            for name in names
            if re.match(_IMAGE + r"\d+\.\d+\.", name) and not re.search(r"-(dbg|unsigned)$", name)
        }
        if not releases:
            hint = "name a whole release, such as trixie" if self._suite else "sudo apt-get update"
            raise NotFoundError(f"apt knows no kernel for {self}", hint=hint)
        return tuple(sorted(releases, key=version_key))

    def select(self, what: str) -> KernelPackages:
        """See PackageSource."""
        release = self._release(what)
        return KernelPackages(
            release,
            tuple(self._closure(_IMAGE + release, _KERNEL_PART)),
            tuple(self._closure(f"linux-headers-{release}", _HEADER_PART)),
        )

    def _release(self, what: str) -> str:
        """Follow a meta-package (``amd64``, ``6.12-amd64``) or a series (``6.12``) to a release."""
        depends = self._depends([_IMAGE + what])
        if depends:
            meta = re.search(r"linux-image-(\d\S*)", depends[0])
            return meta[1] if meta else what
        series = re.compile(
            re.escape(what.removesuffix(f"-{self._architecture}"))
            + rf"(?![0-9])[0-9.+~a-z-]*-(generic|{self._architecture})"
        )
        found = [r for r in self.available() if series.fullmatch(r) and not _is_special(r)]
        if not found or not what[:1].isdigit():
            raise NotFoundError(
                f"no kernel {what!r} among the packages apt knows for {self}",
                hint="`lkm kernels --available` lists them, with --suite those of another suite; "
                "`apt-get update` renews the list",
            )
        return found[-1]

    def _depends(self, packages: Sequence[str]) -> list[str]:
        """The Depends fields of those ``packages`` there are.

        Apt takes most of a second to start, so it is asked for several at once. It takes names
        with dots for regular expressions when there is no package of that very name.
        """
        command = ["apt-cache", *self._options, "show", "--no-all-versions", *packages]
        shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        found = []
        for stanza in shown.split("\n\n"):
            fields = dict(re.findall(r"^(Package|Depends): (.*)$", stanza, re.MULTILINE))
            if fields.get("Package") in packages:
                found.append(fields.get("Depends", ""))
        return found

    def _closure(self, package: str, part: re.Pattern[str]) -> list[str]:
        """Return ``package`` and those it depends on whose names ``part`` matches."""
        found = [package]
        asked = 0
        while asked < len(found):
            depends = self._depends(found[asked:])
            asked = len(found)
            for dependency in re.findall(r"[^\s,|()]+", " ".join(depends)):
                if part.match(dependency) and dependency not in found:
                    found.append(dependency)
        return found

    def unpack(self, packages: Sequence[str], folder: Path, progress: Progress | None) -> None:
        """See PackageSource."""
        downloads = folder.with_name(folder.name + ".deb")
        downloads.mkdir()
        try:
            # The programs that kbuild runs are for this machine, whatever they build for.
            native = [p for p in packages if p.startswith("linux-kbuild-")] if self._foreign else []
            self._download([p for p in packages if p not in native], downloads, progress)
            if native:
                Apt(suite=self._suite)._download(native, downloads, progress)
            deb.unpack(sorted(downloads.glob("*.deb")), folder, progress)
        finally:
            shutil.rmtree(downloads)

    def unpack_c_library(self, folder: Path, progress: Progress | None) -> None:
        """See PackageSource."""
        release = self._suite.partition("-")[0] if self._suite else None  # of trixie-backports
        Apt(suite=release).unpack(["libc6"], folder, progress)

    def _download(self, packages: Sequence[str], folder: Path, progress: Progress | None) -> None:
        command = ["apt-get", "-qq", *self._options, "download", *packages]
        download(command, folder, self._download_size(packages), progress)

    def _download_size(self, packages: Sequence[str]) -> int:
        uris = output(["apt-get", *self._options, "download", "--print-uris", *packages])
        return sum(int(size) for size in re.findall(r"^'\S+' \S+ (\d+) ", uris, re.MULTILINE))


def _is_special(release: str) -> bool:
    return bool(re.search(r"-(rt|cloud)-", release))
