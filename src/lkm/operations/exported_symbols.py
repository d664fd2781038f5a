"""What a kernel and its modules export to modules, and who uses it."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lkm.doctor.target_image import read_image
from lkm.doctor.target_tree import tree_of
from lkm.errors import LkmError, NotFoundError
from lkm.kernels.choose import choose_bootable
from lkm.kernels.known import KnownKernel
from lkm.module.image import ModuleImage
from lkm.operations.parallel import Progress, spread

KERNEL = "vmlinux"
"""The owner of what the kernel image itself exports."""


@dataclass(frozen=True, slots=True)
class ExportedSymbol:
    """A symbol that modules may use: whose it is, for whom, and the modules that use it.

    ``crc`` is ``None`` without symbol versions; ``users`` is ``None`` where it was not asked for.
    """

    name: str
    owner: str
    gpl: bool
    namespace: str
    crc: int | None
    users: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ExportedSymbols:
    """The symbols of one kernel that match what was asked for, sorted by name."""

    release: str
    symbols: tuple[ExportedSymbol, ...]


def exported_symbols(
    pattern: str = "*",
    kernel: str = "",
    *,
    with_users: bool = False,
    progress: Progress | None = None,
) -> ExportedSymbols:
    """Return what a kernel (by default the one that is meant where none is named) exports.

    ``pattern`` is a name, or a shell pattern. Raises NotFoundError when nothing matches.
    """
    known = choose_bootable(kernel)
    assert known.vmlinuz is not None  # it is bootable
    found = [symbol for symbol in _all(known) if fnmatch.fnmatchcase(symbol.name, pattern)]
    if not found:
        raise NotFoundError(
            f"kernel {known.release} and its modules export nothing like {pattern!r}",
            hint=f"a pattern finds more: lkm symbols '*{pattern.strip('*')}*'",
        )
    found.sort(key=lambda symbol: (symbol.name, symbol.owner))
    if with_users:
        users = _users(known, frozenset(symbol.name for symbol in found), progress)
        found = [replace(symbol, users=tuple(users.get(symbol.name, ()))) for symbol in found]
    return ExportedSymbols(known.release, tuple(found))


def _all(known: KnownKernel) -> list[ExportedSymbol]:
    assert known.vmlinuz is not None
    exports = read_image(known.vmlinuz).exports
    found = [
        ExportedSymbol(name, KERNEL, offer.gpl, offer.namespace, offer.crc)
        for name, offer in exports.items()
    ]
    if known.modules is not None:
        for name, offers in tree_of(str(known.modules)).offers.items():
            found += [
                ExportedSymbol(name, each.owner, each.gpl, each.namespace, each.crc)
                for each in offers
            ]
    return found


def _users(
    known: KnownKernel, names: frozenset[str], progress: Progress | None
) -> Mapping[str, Sequence[str]]:
    """Return the modules of a kernel's tree that use symbols of these names."""
    if known.modules is None:
        return {}
    modules = sorted(tree_of(str(known.modules)).modules.items())
    used = spread(
        lambda item: _uses(item[1], names), modules, what="reading modules", progress=progress
    )
    found: dict[str, list[str]] = {}
    for (module, _), symbols in zip(modules, used, strict=True):
        for symbol in symbols:
            found.setdefault(symbol, []).append(module)
    return found


def _uses(path: str, names: frozenset[str]) -> list[str]:
    try:
        image = ModuleImage.open(path)
        try:
            return sorted(names.intersection(each.name for each in image.imports))
        finally:
            image.close()
    except (LkmError, OSError):
        return []
