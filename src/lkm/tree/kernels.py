"""Which kernels are here: those of the machine, and those fetched into lkm's cache.

A fetched kernel is a root directory ``$XDG_CACHE_HOME/lkm/kernels/RELEASE``, laid out as the
packages lay out ``/``: ``boot/vmlinuz-RELEASE``, ``lib/modules/RELEASE`` and, with its headers,
``usr/src`` and ``lib/modules/RELEASE/build``, which kbuild can be pointed at.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lkm import files
from lkm.errors import NotFoundError, ToolError, UsageError
from lkm.tree import kbuild_programs, kernel_indexes
from lkm.tree.packages import KernelPackages, PackageSource, version_key

if TYPE_CHECKING:
    from lkm.tree.unpacking import Progress


@dataclass(frozen=True, slots=True)
class KnownKernel:
    """One kernel and what of it is here.

    ``root`` is the root directory it belongs to (``/``, or a folder of the cache); ``vmlinuz``,
    ``modules`` (``lib/modules/RELEASE``) and ``headers`` (what kbuild takes as KDIR) are ``None``
    where they are missing.
    """

    release: str
    root: Path
    vmlinuz: Path | None
    modules: Path | None
    headers: Path | None
    fetched: bool


def cache_folder() -> Path:
    """Return the folder that holds the fetched kernels, one root directory each."""
    return files.cache_directory("kernels")


def known(root: str | os.PathLike[str] = "/") -> tuple[KnownKernel, ...]:
    """Return the kernels of ``root`` and the fetched ones, oldest release first.

    A release that is in both places is told twice, the fetched one first, as it is complete.
    """
    found = [_fetched(release) for release in _fetched_releases()]
    found += [_describe(release, Path(root), fetched=False) for release in _releases(Path(root))]
    return tuple(sorted(found, key=lambda kernel: version_key(kernel.release)))


def find(release: str) -> KnownKernel:
    """Return the kernel of that release, a fetched one before the machine's own.

    ``release`` may be a series (``6.12``): the newest fetched kernel whose release begins so.
    Raises NotFoundError when there is none.
    """
    kernels = known()
    exact = [kernel for kernel in kernels if kernel.release == release]
    series = [k for k in kernels if re.match(re.escape(release) + r"(?![0-9])", k.release)]
    if not exact and not series:
        raise NotFoundError(
            f"kernel {release!r} is not here", hint=f"fetch it: lkm kernels fetch {release}"
        )
    newest = exact or [kernel for kernel in series if kernel.release == series[-1].release]
    return newest[0]


def fetch(
    what: str,
    *,
    headers: bool = False,
    architecture: str | None = None,
    suite: str | None = None,
    progress: Progress | None = None,
) -> KnownKernel:
    """Download a kernel and unpack it into the cache, and return it; nothing is installed.

    ``what`` is a release (``6.1.0-56-amd64``), a flavour (``amd64``, ``cloud-amd64``: the newest
    of it) or a series (``6.12``); ``headers`` adds what kbuild needs; ``suite`` is another release
    of the same distribution (``bullseye``) to take it from. What is there already is not fetched
    again. Safe against other processes that do the same, and against being killed.
    Raises NotFoundError for a kernel the distribution does not have, ToolError when its package
    tool is missing or fails.
    """
    ready = _ready(what, headers)
    if ready:
        return ready
    source = _source(architecture, suite)
    packages = source.select(what)
    with _locked(packages.release):
        _fetch_missing(source, packages, headers, progress)
    return indexed(_fetched(packages.release), progress)


def indexed(kernel: KnownKernel, progress: Progress | None = None) -> KnownKernel:
    """Return ``kernel``; a fetched one is given its modules.dep and the like if it has none."""
    if kernel.fetched and kernel.modules is not None:
        kernel_indexes.ensure(kernel.root, kernel.release, progress)
    return kernel


def remove(release: str) -> None:
    """Remove a fetched kernel; NotFoundError when it is not in the cache."""
    if not re.fullmatch(r"[\w+~][\w.+~-]*", release):
        raise UsageError(f"not a kernel release: {release!r}")
    folder = cache_folder() / release
    if not folder.is_dir():
        raise NotFoundError(
            f"kernel {release!r} is not among the fetched ones", hint="`lkm kernels` lists them"
        )
    with _locked(release):
        # Renamed first, so that an interrupted removal leaves no half kernel behind.
        grave = Path(tempfile.mkdtemp(prefix=f".{release}.", dir=cache_folder()))
        os.replace(folder, grave / "removed")
        shutil.rmtree(grave)


def available(architecture: str | None = None, suite: str | None = None) -> tuple[str, ...]:
    """Return the releases the distribution's package tool offers, oldest first."""
    return _source(architecture, suite).available()


def _source(architecture: str | None, suite: str | None) -> PackageSource:
    # It brings the formats of archives, which only who fetches needs.
    from lkm.tree import package_tools

    return package_tools.package_source(architecture, suite)


def _ready(release: str, headers: bool) -> KnownKernel | None:
    if release not in _fetched_releases():
        return None
    kernel = _fetched(release)
    return kernel if kernel.headers or not headers else None


def _fetch_missing(
    source: PackageSource, packages: KernelPackages, headers: bool, progress: Progress | None
) -> None:
    folder = cache_folder() / packages.release
    wanted = () if folder.is_dir() else packages.image
    if headers and not _header_directory(folder, packages.release):
        wanted += packages.headers
    if not wanted:
        return
    for abandoned in folder.parent.glob(f".{packages.release}.*/"):
        shutil.rmtree(abandoned)  # by a process that was killed: this one holds the lock
    work = Path(tempfile.mkdtemp(prefix=f".{packages.release}.", dir=folder.parent))
    work.chmod(0o755)
    unpacked = work / "root"
    unpacked.mkdir()
    try:
        source.unpack(wanted, unpacked, progress)
        _relocate_headers(unpacked)
        kbuild_programs.make_runnable(
            unpacked, lambda folder: source.unpack_c_library(folder, progress)
        )
        if folder.is_dir():
            _add_headers(unpacked, folder, packages.release)
        else:
            _expect_modules(unpacked, packages)
            os.replace(unpacked, folder)
    finally:
        shutil.rmtree(work)


def _expect_modules(root: Path, packages: KernelPackages) -> None:
    if not (root / "lib/modules" / packages.release).is_dir():
        raise ToolError(
            f"the packages {', '.join(packages.image)} hold no lib/modules/{packages.release}",
            hint="the distribution puts its modules in a package lkm does not know",
        )


_HERE = "$(dir $(realpath $(lastword $(MAKEFILE_LIST))))"
_RELOCATED = (
    (re.compile(r"^include /usr/src/", re.MULTILINE), f"include {_HERE}../"),
    (re.compile(r"^KBUILD_OUTPUT *= */usr/src/.*", re.MULTILINE),
     f"KBUILD_OUTPUT := $(patsubst %/,%,{_HERE})"),
)  # fmt: skip


def _relocate_headers(root: Path) -> None:
    """Make the headers' Makefile name itself and its neighbour rather than what is installed."""
    for makefile in (root / "usr/src").glob("*/Makefile"):
        moved = text = makefile.read_text(encoding="utf-8", errors="surrogateescape")
        for pattern, replacement in _RELOCATED:
            moved = pattern.sub(replacement, moved)
        if moved != text:
            makefile.write_text(moved, encoding="utf-8", errors="surrogateescape")


def _add_headers(unpacked: Path, folder: Path, release: str) -> None:
    """Move unpacked headers into an existing root; ``build``, moved last, makes them so."""
    for pattern in ("usr/src/linux-*", "usr/src/kernels/*", "usr/lib/linux-*"):
        for entry in sorted(unpacked.glob(pattern)):
            _replace(entry, folder / entry.relative_to(unpacked))
    for name in ("source", "build"):
        entry = unpacked / "lib/modules" / release / name
        if entry.is_symlink() or entry.is_dir():
            _replace(entry, folder / "lib/modules" / release / name)


def _replace(entry: Path, target: Path) -> None:
    """Move ``entry`` to ``target``, whatever kind of file is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    elif entry.is_dir() and not entry.is_symlink():
        target.unlink(missing_ok=True)
    os.replace(entry, target)


def _fetched_releases() -> list[str]:
    return [
        entry.name
        for entry in cache_folder().iterdir()
        if not entry.name.startswith(".") and (entry / "lib/modules" / entry.name).is_dir()
    ]


def _releases(root: Path) -> set[str]:
    images = {path.name.removeprefix("vmlinuz-") for path in _glob(root / "boot", "vmlinuz-*")}
    trees = _glob(root / "lib/modules", "*")
    return images | {path.name for path in trees if path.name[:1].isdigit() and path.is_dir()}


def _glob(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern)) if folder.is_dir() else []


def _fetched(release: str) -> KnownKernel:
    return _describe(release, cache_folder() / release, fetched=True)


def _describe(release: str, root: Path, *, fetched: bool) -> KnownKernel:
    modules = root / "lib/modules" / release
    return KnownKernel(
        release=release,
        root=root,
        vmlinuz=image_of(root, release),
        modules=modules if _has_modules(modules) else None,
        headers=_header_directory(root, release),
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


def _header_directory(root: Path, release: str) -> Path | None:
    build = root / "lib/modules" / release / "build"
    return build if (build / "Makefile").exists() else None


@contextlib.contextmanager
def _locked(release: str) -> Iterator[None]:
    """Hold the lock of one release, which the kernel gives back when the process dies."""
    descriptor = os.open(cache_folder() / f".{release}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
