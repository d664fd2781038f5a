"""Who has the symbols a module needs: the modules it depends on, the kernel, or nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from lkm.errors import LkmError
from lkm.kernels.known import KnownKernel
from lkm.module.image import ModuleImage
from lkm.module.names import is_module_file, module_name, normalize
from lkm.module.symbols import Import
from lkm.tree.indexes import Indexes
from lkm.tree.module_files import module_files
from lkm.vmlinux.image import open_cached


class ProviderKind(StrEnum):
    """Who provides a symbol."""

    KERNEL = "kernel"
    MODULE = "module"
    NOBODY = "nobody"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Provider:
    """Symbols the module needs, by who has them.

    ``name`` is the module's, or the kernel's release; ``UNKNOWN`` are those that could not be
    looked up, because the kernel's image or a module is not here.
    """

    kind: ProviderKind
    name: str
    symbols: tuple[Import, ...]


def providers(image: ModuleImage, kernel: KnownKernel | None) -> tuple[Provider, ...]:
    """Group the imports: first the modules it depends on, then the kernel, then the rest.

    Dependencies are looked for in the kernel's tree and beside the module's own file.
    """
    left = {symbol.name: symbol for symbol in image.imports}
    groups = []
    complete = True
    for module in image.depends:
        exports = _exports_of(normalize(module), image.path, kernel)
        complete &= exports is not None
        used = [left.pop(name) for name in exports or () if name in left]
        if used:
            groups.append(Provider(ProviderKind.MODULE, module, tuple(used)))
    exported = _kernel_exports(kernel)
    own = [symbol for symbol in left.values() if symbol.name in exported]
    rest = tuple(symbol for symbol in left.values() if symbol.name not in exported)
    if own and kernel:
        groups.append(Provider(ProviderKind.KERNEL, kernel.release, tuple(own)))
    if rest:
        known = complete and bool(exported)
        groups.append(Provider(ProviderKind.NOBODY if known else ProviderKind.UNKNOWN, "", rest))
    return tuple(groups)


def _exports_of(module: str, beside: str, kernel: KnownKernel | None) -> list[str] | None:
    for path in _candidates(module, beside, kernel):
        try:
            return [export.name for export in ModuleImage.open(path).exports]
        except (OSError, LkmError):
            continue
    return None


def _candidates(module: str, beside: str, kernel: KnownKernel | None) -> Iterator[str]:
    if kernel and kernel.modules:
        directory = str(kernel.modules)
        line = Indexes(directory).dependency_line(module)
        if line:
            yield os.path.join(directory, line.partition(":")[0])
        yield from files_called(module, directory)
    for file in sorted(os.listdir(os.path.dirname(os.path.abspath(beside)))):
        if is_module_file(file) and module_name(file) == module:
            yield os.path.join(os.path.dirname(os.path.abspath(beside)), file)


def files_called(module: str, directory: str) -> Iterator[str]:
    """Return the files of that name: a tree that has been unpacked only has no index yet."""
    return (entry.path for entry in module_files(directory) if module_name(entry.name) == module)


def _kernel_exports(kernel: KnownKernel | None) -> frozenset[str]:
    if kernel is None or kernel.vmlinuz is None:
        return frozenset()
    try:
        return frozenset(export.name for export in open_cached(kernel.vmlinuz).exports)
    except (LkmError, OSError):
        return frozenset()
