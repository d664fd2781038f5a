"""Packages of Arch Linux and its kin unpacked without root or installation.

Such a package is a tar archive whose first members, ``.PKGINFO`` and the like, are about itself
(``makepkg``; alpm-package(7)).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lkm.kernels.unpack.folder import Progress, Unpacked, silent, unpack_tar


def unpack(packages: Iterable[Path], folder: Path, progress: Progress | None = None) -> None:
    """Unpack the files of ``packages`` below ``folder``; raises FormatError for what is none."""
    report = progress or silent
    unpacked = Unpacked(folder)
    for number, package in enumerate(paths := list(packages)):
        report(f"unpacking {package.name}", number, len(paths))
        unpacked.begin(package)
        suffix = package.name.rpartition(".pkg.tar")[2]
        with open(package, "rb") as stream:
            unpack_tar(stream, suffix, unpacked, skip=_is_about_itself)
    unpacked.finish()


def _is_about_itself(name: str) -> bool:
    return name.startswith(".")
