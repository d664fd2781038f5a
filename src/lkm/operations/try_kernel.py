"""Which kernel a module is tried in, and why that one."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass

from lkm.errors import LkmError, NotFoundError, UsageError
from lkm.kernel.open import CHOICES, is_bootable
from lkm.tree import kernels
from lkm.tree.kernels import KnownKernel

FetchProgress = Callable[[str, int, int], None]

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
        """What ``open_kernel`` takes."""
        if self.kind == "live" or self.known is None:
            return self.kind
        return f"{self.kind}:{self.known.release}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the module asks of its kernel.

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
        return Choice(kind, _running(), "it is the running kernel")
    if release:
        return Choice(kind, _asked(release, wish, progress), "it was asked for")
    known, reason = _default(wish, progress)
    return Choice(kind, known, reason)


def headers_of(release: str) -> str:
    """Return the directory that kbuild takes for ``release``; NotFoundError when none is here."""
    for known in kernels.known():
        if known.release == release and known.headers is not None:
            return os.fspath(known.headers)
    raise NotFoundError(
        f"the headers of kernel {release}, which building takes, are not here",
        hint=f"lkm kernels fetch {release} --headers   (or add --fetch)",
    )


def _running() -> KnownKernel | None:
    release = os.uname().release
    return next((known for known in kernels.known() if known.release == release), None)


def _asked(release: str, wish: Wish, progress: FetchProgress | None) -> KnownKernel:
    try:
        known = kernels.find(release)
        if is_bootable(known) and not (wish.from_source and not _has_headers(known.release)):
            return known
    except NotFoundError as error:
        if not wish.fetch:
            error.hint += "   (or add --fetch)"
            raise
    if not wish.fetch:
        return known
    return kernels.fetch(release, headers=wish.from_source, progress=progress)


def _default(wish: Wish, progress: FetchProgress | None) -> tuple[KnownKernel, str]:
    here = _bootable()
    if wish.built_for:
        for known in here:
            if known.release == wish.built_for:
                return known, "the module was built for it"
        fetched = _fetch_quietly(wish, progress) if wish.fetch else None
        if fetched is not None:
            return fetched, "the module was built for it"
    usable = [k for k in here if _has_headers(k.release)] if wish.from_source else here
    if not usable and wish.fetch:
        flavour = here[-1].release if here else _flavour()
        fetched = kernels.fetch(flavour, headers=wish.from_source, progress=progress)
        return fetched, "it was fetched just now"
    if not usable:
        raise _nothing_here(here)
    missing = f"{wish.built_for}, for which it was built, is not here; " if wish.built_for else ""
    running = [known for known in usable if known.release == os.uname().release]
    if running:
        return running[-1], missing + "it is the running kernel"
    which = "with headers " if wish.from_source else ""
    return usable[-1], missing + f"it is the newest kernel {which}here"


def _bootable() -> list[KnownKernel]:
    """Return the kernels whose image can be read, oldest first, each release once."""
    found: dict[str, KnownKernel] = {}
    for known in kernels.known():
        if is_bootable(known):
            found.setdefault(known.release, known)
    return list(found.values())


def _has_headers(release: str) -> bool:
    return any(known.release == release and known.headers for known in kernels.known())


def _fetch_quietly(wish: Wish, progress: FetchProgress | None) -> KnownKernel | None:
    """Fetch the kernel a module was built for; ``None`` when nobody offers it any more."""
    try:
        return kernels.fetch(wish.built_for, progress=progress)
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
        hint=f"lkm kernels fetch {_flavour()}   (about 70 MB; or add --fetch)",
    )


def _flavour() -> str:
    return _FLAVOURS.get(platform.machine(), "amd64")
