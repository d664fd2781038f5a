"""Which symbols a module uses of whom."""

from __future__ import annotations

from collections.abc import Iterator

from lkm.errors import LkmError
from lkm.module.image import ModuleImage
from lkm.operations.trial.events import Bound
from lkm.operations.trial.subject import Wanted
from lkm.vmlinux.image import open_cached

_UNKNOWN = "the kernel, or a module loaded before"


def bound_symbols(wanted: Wanted, image: str) -> Iterator[Bound]:
    """Yield the module's imports by provider: the modules loaded for it, then the kernel.

    ``image`` is the kernel's vmlinuz, empty where it is not known; what is then not a
    dependency's cannot be told apart further.
    """
    names = {symbol.name for symbol in wanted.image.imports}
    for dependency in wanted.before:
        used = names & {symbol.name for symbol in ModuleImage.open(dependency.path).exports}
        if used:
            yield Bound(dependency.module, tuple(sorted(used)))
            names -= used
    kernel = names & _kernel_exports(image)
    if kernel:
        yield Bound("vmlinux", tuple(sorted(kernel)))
    if names - kernel:
        yield Bound(_UNKNOWN, tuple(sorted(names - kernel)))


def _kernel_exports(image: str) -> set[str]:
    try:
        return {symbol.name for symbol in open_cached(image).exports} if image else set()
    except (LkmError, OSError):
        return set()
