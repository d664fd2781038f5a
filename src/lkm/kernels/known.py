"""Which kernels are installed or fetched, and where their files are.

A fetched kernel is a root directory ``$XDG_CACHE_HOME/lkm/kernels/RELEASE``, laid out as the
packages lay out ``/``: ``boot/vmlinuz-RELEASE``, ``lib/modules/RELEASE`` and, with its headers,
``usr/src`` and ``lib/modules/RELEASE/build``, which kbuild can be pointed at.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lkm import files
from lkm.errors import NotFoundError
from lkm.kernels.packages import version_key


@dataclass(frozen=True, slots=True)
class KnownKernel:
    """One kernel and what of it is here.

    ``root`` is the root directory it belongs to (``/``, or a folder of the cache); ``vmlinuz``,
    ``modules`` (``lib/modules/RELEASE``) and ``headers`` (what kbuild takes as KDIR) are ``None``
    where they are missing. ``place`` is the path of a kernel of one's own, empty for others.
    """

    release: str
    root: Path
    vmlinuz: Path | None
    modules: Path | None
    headers: Path | None
    fetched: bool
    place: str = ""

    @property
    def name(self) -> str:
        """What this kernel is found by again: its release, or its path."""
        return self.place or self.release


def cache_folder() -> Path:
    """Return the folder that holds the fetched kernels, one root directory each."""
    return files.cache_directory("kernels")


def known_kernels(root: str | os.PathLike[str] = "/") -> tuple[KnownKernel, ...]:
    """Return the kernels of ``root`` and the fetched ones, oldest release first.

    A release that is in both places comes twice, the fetched one first, as it is complete.
    """
    found = [fetched_kernel(release) for release in fetched_releases()]
    found += [_describe(release, Path(root), fetched=False) for release in _releases(Path(root))]
    return tuple(sorted(found, key=lambda kernel: version_key(kernel.release)))


def find_kernel(release: str) -> KnownKernel:
    """Return the kernel of that release, a fetched one before the machine's own.

    ``release`` may be a series (``6.12``): the newest fetched kernel whose release begins so.
    Raises NotFoundError when there is none.
    """
    kernels = known_kernels()
    exact = [kernel for kernel in kernels if kernel.release == release]
    series = [k for k in kernels if re.match(re.escape(release) + r"(?![0-9])", k.release)]
    if not exact and not series:
        raise NotFoundError(
            f"kernel {release!r} is not here", hint=f"fetch it: lkm kernels fetch {release}"
        )
    newest = exact or [kernel for kernel in series if kernel.release == series[-1].release]
    return newest[0]


def fetched_releases() -> list[str]:
    """Return the releases of the fetched kernels, in no order."""
    try:
        entries = list(cache_folder().iterdir())
    except OSError:  # no cache can be had: no home, read-only, another user's
        return []
    return [
        entry.name
        for entry in entries
        if not entry.name.startswith(".") and (entry / "lib/modules" / entry.name).is_dir()
    ]


def _releases(root: Path) -> set[str]:
    images = {path.name.removeprefix("vmlinuz-") for path in _glob(root / "boot", "vmlinuz-*")}
    trees = _glob(root / "lib/modules", "*")
    return images | {path.name for path in trees if path.name[:1].isdigit() and path.is_dir()}


def _glob(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern)) if folder.is_dir() else []


def fetched_kernel(release: str) -> KnownKernel:
    """Return the fetched kernel of that release, which must be in the cache."""
    return _describe(release, cache_folder() / release, fetched=True)


def _describe(release: str, root: Path, *, fetched: bool) -> KnownKernel:
    modules = root / "lib/modules" / release
    return KnownKernel(
        release=release,
        root=root,
        vmlinuz=image_of(root, release),
        modules=modules if _has_modules(modules) else None,
        headers=header_directory(root, release),
        fetched=fetched,
    )


def image_of(root: Path, release: str) -> Path | None:
    """Return the kernel's image below ``root``, in /boot or among the modules, if it is there."""
    boot, modules = root / "boot", root / "lib/modules" / release
    images = (boot / f"vmlinuz-{release}", boot / f"vmlinux-{release}", modules / "vmlinuz")
    return next((image for image in images if image.exists()), None)


def _has_modules(directory: Path) -> bool:
    """Whether it holds more than the links that header packages put there."""
    return any((directory / name).exists() for name in ("kernel", "updates", "modules.dep"))


def header_directory(root: Path, release: str) -> Path | None:
    """Return what kbuild takes as KDIR for ``release`` below ``root``, if it is there."""
    build = root / "lib/modules" / release / "build"
    return build if (build / "Makefile").exists() else None
