"""Will each module load on each kernel? By prediction, on all processors or a cluster."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lkm.doctor.compatibility import Cell, Distance, Row, row
from lkm.doctor.offers import Offer
from lkm.doctor.target import Target, offers_of
from lkm.elf.source import read_file
from lkm.errors import FormatError, NotFoundError, UnsupportedError, missing_extra
from lkm.kernels.known import KnownKernel, find_kernel, known_kernels
from lkm.kernels.packages import version_key
from lkm.module.image import ModuleImage
from lkm.module.names import normalize
from lkm.operations.parallel import Progress, spread
from lkm.operations.targets import at_rest
from lkm.tree.module_files import BUILD_LINKS, module_files

__all__ = ["Cell", "Distance", "Matrix", "Row", "kernels_named", "matrix", "module_paths"]

_CHUNK = 64
_MOST_GIVEN = 64


@dataclass(frozen=True, slots=True)
class Matrix:
    """The releases, oldest first, and a row for each module, in the order they were named."""

    releases: tuple[str, ...]
    rows: tuple[Row, ...]


def kernels_named(names: Sequence[str]) -> tuple[KnownKernel, ...]:
    """Return the kernels of that name, oldest first.

    ``all`` are those whose image is here and can be read; a raw arm64 image, for one, cannot.
    """
    if "all" in names:
        here = {k.release: k for k in known_kernels() if _is_readable(k)}
        if not here:
            raise NotFoundError(
                "no kernel is here", hint="fetch one: lkm kernels fetch amd64 --headers"
            )
        chosen = list(here.values())
    else:
        chosen = [find_kernel(name) for name in dict.fromkeys(names)]
    return tuple(sorted(chosen, key=lambda kernel: version_key(kernel.release)))


def _is_readable(known: KnownKernel) -> bool:
    if known.vmlinuz is None or not os.access(known.vmlinuz, os.R_OK):
        return False
    try:
        _target(known)
    except (FormatError, UnsupportedError):
        return False
    return True


def module_paths(names: Sequence[str]) -> tuple[str, ...]:
    """Return the module files that ``names`` mean: files, folders of them, or modules' names.

    A name means the file of the newest kernel here that has it.
    """
    return tuple(path for name in names for path in _paths(name))


def _paths(name: str) -> Iterator[str]:
    if os.path.isdir(name):
        yield from sorted(entry.path for entry in module_files(name, skip=BUILD_LINKS))
    elif "/" in name or name.endswith((".ko", ".ko.gz", ".ko.xz", ".ko.zst")):
        if not os.path.exists(name):
            raise NotFoundError(f"{name}: no such file")
        yield name
    else:
        yield _in_newest_tree(name)


def _in_newest_tree(name: str) -> str:
    for known in reversed(known_kernels()):
        if known.modules is not None:
            target = _target(known)
            found = target.tree.modules.get(normalize(name)) if target.tree else None
            if found:
                return found
    raise NotFoundError(f"no kernel here has a module {name}", hint="name a file")


@functools.lru_cache(maxsize=32)
def _target(known: KnownKernel) -> Target:
    return at_rest(known).target


def matrix(
    paths: Sequence[str],
    known: Sequence[KnownKernel],
    *,
    scheduler: str = "",
    progress: Progress | None = None,
) -> Matrix:
    """Judge every module of ``paths`` on every kernel of ``known``, on all processors.

    With ``scheduler``, the address of a dask.distributed scheduler, its cluster does the work,
    and needs none of the files.
    """
    targets = [_with_given(_target(kernel), paths) for kernel in known]
    if scheduler:
        rows = _on_cluster(paths, targets, scheduler, progress or _silent)
    else:
        judge = functools.partial(_judged, targets=targets)
        rows = spread(judge, paths, what="judging", progress=progress)
    return Matrix(tuple(kernel.release for kernel in known), tuple(rows))


def _silent(_what: str, _done: int, _total: int) -> None:
    return


def _judged(path: str, targets: Sequence[Target]) -> Row:
    return row(path, read_file(path), targets)


def _with_given(target: Target, paths: Sequence[str]) -> Target:
    """Return ``target`` with the exports of those given modules, and their siblings, that load.

    What is asked about may need each other; a whole tree's modules have theirs in the tree.
    """
    if len(paths) > _MOST_GIVEN:
        return target
    given = dict.fromkeys([*paths, *_siblings(paths)])
    exporters = {path: offers for path in given if (offers := _exports(path))}
    while exporters:
        loading = [p for p in exporters if _judged(p, [target]).cells[0].distance is Distance.LOADS]
        if not loading:
            break
        offers = {name: offer for path in loading for name, offer in exporters.pop(path).items()}
        target = replace(target, offers={**target.offers, **offers})
    return target


def _siblings(paths: Sequence[str]) -> Iterator[str]:
    """Yield the modules that lie beside given ones which say that they need them."""
    waiting, seen = list(paths), set(paths)
    while waiting and len(seen) < _MOST_GIVEN:
        path = waiting.pop()
        try:
            needed = ModuleImage.open(path).depends
        except (FormatError, OSError):
            continue
        for name in needed:
            beside = os.path.join(os.path.dirname(path), f"{name}.ko")
            if "/" not in name and beside not in seen and os.path.isfile(beside):
                seen.add(beside)
                waiting.append(beside)
                yield beside


def _exports(path: str) -> dict[str, Offer]:
    try:
        image = ModuleImage.open(path)
        return offers_of(image, image.name)
    except FormatError:
        return {}


def _judged_bytes(chunk: Sequence[tuple[str, bytes]], targets: Sequence[Target]) -> list[Row]:
    """Judge modules given by content: a cluster's workers have no files of ours."""
    return [row(path, data, targets) for path, data in chunk]


def _on_cluster(
    paths: Sequence[str], targets: list[Target], scheduler: str, progress: Progress
) -> list[Row]:
    try:
        from distributed import Client  # an optional extra
    except ImportError:
        raise missing_extra("distributed", "cluster") from None
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    rows: list[Row] = []
    with Client(scheduler, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        shared = client.scatter([targets], broadcast=True, hash=False)[0]
        futures = [
            client.submit(_judged_bytes, _with_content(chunk), shared, pure=False)
            for chunk in chunks
        ]
        for future in futures:
            rows += future.result()
            progress("judging", len(rows), len(paths))
    return rows


def _with_content(chunk: Sequence[str]) -> tuple[tuple[str, bytes], ...]:
    return tuple((path, read_file(path)) for path in chunk)
