"""Pick the kernel for a request: asked for, built for, running, newest.

One rule serves all commands where none is named: the kernel a module was built for, else the
running one, else the newest, an ordinary one before the real-time and cloud flavours.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lkm.errors import LkmError, NotFoundError, UsageError
from lkm.kernels.fetch import FetchProgress, fetch_kernel
from lkm.kernels.known import KnownKernel, find_kernel, known_kernels
from lkm.kernels.own import is_path, kernel_at

CHOICES = "live, vm[:RELEASE|PATH] or emulated[:RELEASE|PATH]"

BUILT_FOR = "the module was built for it"
RUNNING = "it is the running kernel"
NEWEST = "it is the newest kernel here"

_SPECIAL = re.compile(
    r"[-_.+](?:rt|cloud|kvm|debug|kdump|lowlatency|azure|aws|gcp|gke|oracle|ibm)[0-9]*(?:[-_.+]|$)"
)
"""What distributions put into the release of a kernel that is not their ordinary one."""

_FLAVOURS = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Choice:
    """A kernel to open: its kind (``emulated``, ``vm``, ``live``), which one, and why that one.

    ``known`` is ``None`` for a live kernel of which nothing is in /boot or /lib/modules.
    """

    kind: str
    known: KnownKernel | None
    reason: str

    @property
    def image(self) -> str:
        """The path of the kernel's image, empty when it is not here."""
        return os.fspath(self.known.vmlinuz or "") if self.known else ""

    @property
    def where(self) -> str:
        """The kernel as ``open_kernel`` takes it."""
        if self.kind == "live" or self.known is None:
            return self.kind
        return f"{self.kind}:{self.known.name}"


@dataclass(frozen=True, slots=True)
class Wish:
    """A module's requirements of its kernel.

    ``built_for`` is the release in its vermagic, if it has one; ``from_source`` says that the
    kernel's headers are needed; ``fetch`` that what is missing may be downloaded.
    """

    built_for: str = ""
    from_source: bool = False
    fetch: bool = False


def choose(where: str, wish: Wish, progress: FetchProgress | None = None) -> Choice:
    """Return the kernel for a module.

    ``where`` is as for ``open_kernel``. Where it names no release: the one the module was built
    for, if it is here (or may be fetched); else the running kernel, if its image can be read; else
    the newest that is here. Raises NotFoundError, with the command that fetches one, when none is.
    """
    kind, _, release = where.partition(":")
    if kind not in ("live", "vm", "emulated") or (kind == "live" and release):
        raise UsageError(f"{where!r} names no kernel", hint=f"one of: {CHOICES}")
    if kind == "live":
        return Choice(kind, _running(), RUNNING)
    if release:
        return Choice(kind, _asked(release, wish, progress), "it was asked for")
    known, reason = _default(wish, progress)
    return Choice(kind, known, reason)


def prefer(candidates: Sequence[KnownKernel], built_for: str = "") -> tuple[KnownKernel, str]:
    """Return the kernel that is meant where none is named, and why it is.

    ``candidates`` are oldest first and not empty; ``built_for`` is a module's release, if known.
    """
    for release, reason in ((built_for, BUILT_FOR), (os.uname().release, RUNNING)):
        for known in candidates:
            if known.release == release:
                return known, reason
    ordinary = [known for known in candidates if not _SPECIAL.search(known.release)]
    return (ordinary or list(candidates))[-1], NEWEST


def choose_bootable(release: str = "") -> KnownKernel:
    """Return the kernel to boot, one whose image is here.

    Raises NotFoundError when no image of ``release``, or none at all, can be read.
    """
    if release:
        kernel = find(release)
        if not is_bootable(kernel):
            raise NotFoundError(
                f"the image of kernel {kernel.release} cannot be read",
                hint=f"fetch a copy: lkm kernels fetch {kernel.release}",
            )
        return kernel
    here = _bootable()
    if not here:
        raise NotFoundError(
            "no kernel image is here",
            hint=f"fetch one: lkm kernels fetch {plain_flavour()} --headers",
        )
    return prefer(here)[0]


def find(name: str) -> KnownKernel:
    """Return the kernel of a release or series, or the one at a path (``./bzImage``)."""
    return kernel_at(name) if is_path(name) else find_kernel(name)


def is_bootable(kernel: KnownKernel) -> bool:
    """Return whether the image of ``kernel`` is here and may be read."""
    return kernel.vmlinuz is not None and os.access(kernel.vmlinuz, os.R_OK)


def headers_of(release: str) -> str:
    """Return the directory that kbuild takes for ``release``; NotFoundError when none is here.

    A kernel of one's own is named by its path.
    """
    if is_path(release):
        own = kernel_at(release)
        if own.headers is not None:
            return os.fspath(own.headers)
        release = own.release
    for known in known_kernels():
        if known.release == release and known.headers is not None:
            return os.fspath(known.headers)
    raise NotFoundError(
        f"the headers of kernel {release}, which building takes, are not here",
        hint=f"lkm kernels fetch {release} --headers   (or add --fetch)",
    )


def _running() -> KnownKernel | None:
    release = os.uname().release
    return next((known for known in known_kernels() if known.release == release), None)


def _asked(release: str, wish: Wish, progress: FetchProgress | None) -> KnownKernel:
    try:
        known = find(release)
        has_headers = known.headers is not None or _has_headers(known.release)
        if known.place or (is_bootable(known) and (has_headers or not wish.from_source)):
            return known
    except NotFoundError as error:
        if not wish.fetch:
            error.hint += "   (or add --fetch)"
            raise
    if not wish.fetch:
        return known
    return fetch_kernel(release, headers=wish.from_source, progress=progress)


def _default(wish: Wish, progress: FetchProgress | None) -> tuple[KnownKernel, str]:
    here = _bootable()
    if wish.built_for:
        if any(known.release == wish.built_for for known in here):
            return prefer(here, wish.built_for)
        fetched = _fetch_quietly(wish, progress) if wish.fetch else None
        if fetched is not None:
            return fetched, BUILT_FOR
    usable = [k for k in here if _has_headers(k.release)] if wish.from_source else here
    if not usable and wish.fetch:
        flavour = here[-1].release if here else plain_flavour()
        fetched = fetch_kernel(flavour, headers=wish.from_source, progress=progress)
        return fetched, "it was fetched just now"
    if not usable:
        raise _nothing_here(here)
    known, reason = prefer(usable)
    missing = f"{wish.built_for}, for which it was built, is not here; " if wish.built_for else ""
    if reason == NEWEST and wish.from_source:
        reason = "it is the newest kernel with headers here"
    return known, missing + reason


def _bootable() -> list[KnownKernel]:
    """Return the kernels whose image can be read, oldest first, each release once."""
    found: dict[str, KnownKernel] = {}
    for known in known_kernels():
        if is_bootable(known):
            found.setdefault(known.release, known)
    return list(found.values())


def _has_headers(release: str) -> bool:
    return any(known.release == release and known.headers for known in known_kernels())


def _fetch_quietly(wish: Wish, progress: FetchProgress | None) -> KnownKernel | None:
    """Fetch the kernel a module was built for; ``None`` when nobody offers it any more."""
    try:
        return fetch_kernel(wish.built_for, progress=progress)
    except LkmError:
        return None


def _nothing_here(here: list[KnownKernel]) -> NotFoundError:
    if here:
        return NotFoundError(
            "no kernel that is here has its headers, which building takes",
            hint=f"lkm kernels fetch {here[-1].release} --headers   (or add --fetch)",
        )
    return NotFoundError(
        "no kernel image is on this machine",
        hint=f"lkm kernels fetch {plain_flavour()} --headers   (about 80 MB; or add --fetch)",
    )


def plain_flavour() -> str:
    """Return what the distribution calls its ordinary kernel for this processor."""
    return _FLAVOURS.get(platform.machine(), "amd64")
