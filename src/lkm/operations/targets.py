"""Open the kernel a question is about: running, at rest on this machine, or another host's."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lkm.doctor.target import ImageFacts, Policy, Target, TreeFacts
from lkm.doctor.target_image import read_image
from lkm.doctor.target_tree import read_tree
from lkm.errors import FormatError, NotFoundError, UnsupportedError
from lkm.kernels.choose import BUILT_FOR, RUNNING, plain_flavour, prefer
from lkm.kernels.known import KnownKernel, find_kernel, known_kernels
from lkm.module.image import ModuleImage
from lkm.tree.config import COMMAND_LINE
from lkm.tree.root import Root, find_root

# What one kind of target needs is imported where that kind is opened: `lkm doctor FILE` is to
# answer in a quarter of a second, most of which is imports.
if TYPE_CHECKING:
    from lkm.kernel.kernel import Kernel
    from lkm.tree.resolver import Resolver


@dataclass(frozen=True, slots=True)
class Where:
    """Which kernel: ``kernel`` as for ``open_kernel``, a root directory and release, or a file.

    All empty: the kernel that ``lkm.kernels.choose.prefer`` picks for ``module``.
    """

    kernel: str = ""
    root: str = ""
    release: str = ""
    inventory: str = ""
    module: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A target, how it was chosen, and its resolver where its tree has an index."""

    target: Target
    why: str
    resolver: Resolver | None = None


def open_target(where: Where) -> Opened:
    """Return the target that ``where`` asks for.

    Raises NotFoundError where there is no such kernel here, or nothing to know its symbols by.
    """
    if where.inventory:
        from lkm.doctor import inventory

        return Opened(inventory.read(Path(where.inventory)), f"read from {where.inventory}")
    if where.kernel:
        return _running(where.kernel)
    if where.root or where.release:
        return _named(where)
    return _default(where.module)


def at_rest(known: KnownKernel, why: str = "") -> Opened:
    """Return a kernel that is installed or fetched, but not running, as a target."""
    root = Root(known.root, known.release)
    tree = read_tree(root) if known.modules is not None else None
    target = Target(known.release, _image(known, tree), Policy(), tree=tree)
    return Opened(target, why or f"{known.root}", _resolver(root, tree))


def of_kernel(kernel: Kernel, known: KnownKernel, *, host_files: bool = False) -> Opened:
    """Return an open kernel as a target; ``known`` is what it was booted from.

    ``host_files``: it is this machine's, so its command line takes part in the configuration.
    """
    from lkm.doctor.target_kernel import read_kernel

    root = Root(known.root, known.release)
    command_line = COMMAND_LINE if host_files else ""
    tree = read_tree(root, command_line=command_line) if known.modules is not None else None
    target = read_kernel(kernel, _image(known, tree), tree)
    return Opened(target, f"the kernel {kernel.name}", _resolver(root, tree))


def of_running(kernel: Kernel) -> Opened:
    """Return an open kernel as a target, by what is here of its release.

    Raises NotFoundError where no image and no headers of it are installed or fetched.
    """
    live = kernel.syscalls.shares_host_files
    return of_kernel(kernel, _known(kernel.release), host_files=live)


def _running(where: str) -> Opened:
    from lkm.kernel.open import open_kernel

    with open_kernel(where) as kernel:
        return of_running(kernel)


def _known(release: str) -> KnownKernel:
    """Return what is here of a running kernel: an image rather than headers, its own first."""
    usable = [k for k in known_kernels() if k.release == release and _readable(k)]
    if not usable:
        raise NotFoundError(
            f"nothing here tells what the kernel {release} exports",
            hint=f"fetch a copy of it: lkm kernels fetch {release}",
        )
    return max(usable, key=lambda k: (_image_readable(k), k.modules is not None, not k.fetched))


def _image_readable(known: KnownKernel) -> bool:
    return known.vmlinuz is not None and os.access(known.vmlinuz, os.R_OK)


def _readable(known: KnownKernel) -> bool:
    return _image_readable(known) or (
        known.headers is not None and (known.headers / "Module.symvers").is_file()
    )


def _named(where: Where) -> Opened:
    if not where.root:
        known = find_kernel(where.release)
        return at_rest(known, f"the kernel {known.release} of {known.root}")
    root = find_root(where.root, where.release or None)
    found = [k for k in known_kernels(where.root) if k.release == root.release and not k.fetched]
    if not found:
        raise NotFoundError(f"{where.root} has no kernel {root.release}")
    return at_rest(found[0], f"the kernel {root.release} of {where.root}")


def _default(module: str) -> Opened:
    readable: dict[str, KnownKernel] = {}
    for kernel in known_kernels():
        if _readable(kernel):
            readable.setdefault(kernel.release, kernel)  # a fetched one first: it is complete
    if not readable:
        raise NotFoundError(
            "no kernel is here to judge by",
            hint=f"fetch one: lkm kernels fetch {plain_flavour()} --headers",
        )
    return _preferred(list(readable.values()), _built_for(module))


def _preferred(candidates: list[KnownKernel], built_for: str) -> Opened:
    """Open the kernel that is meant where none is named; of another architecture some cannot be."""
    known, why = prefer(candidates, built_for)
    if why == RUNNING:
        return replace(_running("live"), why=why)
    try:
        return at_rest(known, why)
    except UnsupportedError:
        others = [kernel for kernel in candidates if kernel is not known]
        if why == BUILT_FOR or not others:
            raise
        return _preferred(others, "")


def _built_for(module: str) -> str:
    try:
        vermagic = ModuleImage.open(module).vermagic if module else None
    except (FormatError, OSError):
        return ""
    return vermagic.release if vermagic else ""


def _image(known: KnownKernel, tree: TreeFacts | None) -> ImageFacts:
    """Return the image's facts; where it cannot be read, those of the headers."""
    if known.vmlinuz is not None and _image_readable(known):
        try:
            return read_image(known.vmlinuz)
        except (FormatError, UnsupportedError):
            if known.headers is None:
                raise
    if known.headers is None:
        raise NotFoundError(
            f"the image of kernel {known.release} cannot be read, and its headers are not here",
            hint=f"fetch a copy: lkm kernels fetch {known.release}",
        )
    from lkm.doctor.symvers import read_headers

    return read_headers(known.headers, known.release, tree)


def _resolver(root: Root, tree: TreeFacts | None) -> Resolver | None:
    if tree is None or not os.path.exists(os.path.join(tree.directory, "modules.dep")):
        return None
    from lkm.tree.indexes import Indexes
    from lkm.tree.resolver import Resolver

    return Resolver(root, tree.config, Indexes(tree.directory))
