"""Download, unpack, index and remove kernels in the cache."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from lkm.errors import NotFoundError, ToolError, UsageError
from lkm.kernels import headers as kbuild_headers
from lkm.kernels.known import (
    KnownKernel,
    cache_folder,
    fetched_kernel,
    fetched_releases,
    header_directory,
)
from lkm.kernels.packages import KernelPackages, PackageSource

FetchProgress = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much is done (of 0: not known)."""


def fetch_kernel(
    what: str,
    *,
    headers: bool = False,
    architecture: str | None = None,
    suite: str | None = None,
    progress: FetchProgress | None = None,
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
    return indexed_kernel(fetched_kernel(packages.release), progress)


def indexed_kernel(kernel: KnownKernel, progress: FetchProgress | None = None) -> KnownKernel:
    """Return ``kernel``; a fetched one is given its modules.dep and the like if it has none."""
    if kernel.fetched and kernel.modules is not None:
        ensure_indexes(kernel.root, kernel.release, progress)
    return kernel


def remove_kernel(release: str) -> None:
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


def available_releases(
    architecture: str | None = None, suite: str | None = None
) -> tuple[str, ...]:
    """Return the releases the distribution's package tool offers, oldest first."""
    return _source(architecture, suite).available()


def _source(architecture: str | None, suite: str | None) -> PackageSource:
    # It brings the formats of archives, which only who fetches needs.
    from lkm.kernels.distributions import choose

    return choose.package_source(architecture, suite)


def _ready(release: str, headers: bool) -> KnownKernel | None:
    if release not in fetched_releases():
        return None
    kernel = fetched_kernel(release)
    return kernel if kernel.headers or not headers else None


def _fetch_missing(
    source: PackageSource, packages: KernelPackages, headers: bool, progress: FetchProgress | None
) -> None:
    folder = cache_folder() / packages.release
    wanted = () if folder.is_dir() else packages.image
    if headers and not header_directory(folder, packages.release):
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
        kbuild_headers.relocate(unpacked)
        kbuild_headers.make_runnable(
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


def ensure_indexes(root: Path, release: str, progress: FetchProgress | None = None) -> None:
    """Write ``modules.dep`` and its like below ``root`` unless they are there.

    Takes seconds where modules are compressed; processes that do the same wait for each other.
    Only for a root that is lkm's own: one's machine is indexed by ``lkm depmod``.
    """
    directory = root / "lib/modules" / release
    written = directory / "modules.dep.bin"
    if written.exists() or not (directory / "kernel").is_dir():
        return

    # Only the first use of a kernel needs depmod.
    from lkm.depmod.index import index_tree
    from lkm.depmod.request import IndexRequest
    from lkm.depmod.workers import processors

    def tell(done: int, total: int) -> None:
        if progress:
            progress(f"indexing the modules of {release}", done, total)

    with open(root / ".index.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if written.exists():
            return
        request = IndexRequest(
            directory=os.fspath(directory),
            release=release,
            output=os.fspath(directory),
            config=(),
            workers=processors(),
        )
        index_tree(request, lambda _level, _text: None, tell)


@contextlib.contextmanager
def _locked(release: str) -> Iterator[None]:
    """Hold the lock of one release, which the kernel gives back when the process dies."""
    descriptor = os.open(cache_folder() / f".{release}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
