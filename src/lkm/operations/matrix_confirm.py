"""Confirm a matrix: load each module into each kernel, emulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lkm.doctor.compatibility import Distance
from lkm.doctor.finding import name_of
from lkm.doctor.target import TreeFacts
from lkm.doctor.target_tree import tree_of
from lkm.errors import KernelDiedError, KernelError, LkmError
from lkm.kernel.kernel import Kernel
from lkm.kernels.known import KnownKernel
from lkm.module.image import ModuleImage
from lkm.module.names import normalize
from lkm.operations.matrix import Matrix, Row

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell as it was tried.

    ``outcome`` is ``loads``, the name of an errno, or what became of the kernel; ``agrees`` is
    ``None`` where the module linked and its own init refused, which no prediction can know.
    """

    path: str
    release: str
    outcome: str
    agrees: bool | None


def confirm(
    matrix: Matrix, known: Sequence[KnownKernel], progress: Progress | None = None
) -> tuple[Trial, ...]:
    """Try every cell of ``matrix``; kernel by kernel, the machine put back between modules."""
    done: list[Trial] = []
    total = len(matrix.rows) * len(known)
    for place, kernel in enumerate(known):
        for trial in _on_kernel(matrix.rows, place, kernel):
            done.append(trial)
            if progress:
                progress(f"trying on {kernel.release}", len(done), total)
    return tuple(done)


def _on_kernel(rows: Sequence[Row], place: int, known: KnownKernel) -> Iterator[Trial]:
    from lkm.kernel.emulated import open_machine  # loads Unicorn, an optional extra

    assert known.vmlinuz is not None
    tree = tree_of(str(known.modules)) if known.modules is not None else None
    machine = open_machine(known.vmlinuz, root=known.root)
    with Kernel(machine) as kernel:
        for row in rows:
            machine.rewind()
            yield _trial(kernel, row, place, tree)


def _trial(kernel: Kernel, row: Row, place: int, tree: TreeFacts | None) -> Trial:
    cell = row.cells[place]
    built_in = cell.finding == "built-in" and not cell.errno
    predicted = cell.distance is Distance.LOADS or built_in
    outcome, agrees = "loads", predicted
    try:
        missing = _load_needs(kernel, row.path, tree)
        if missing and predicted:
            return Trial(row.path, cell.release, f"{missing}, which it needs, did not load", None)
        kernel.load(row.path)
    except KernelDiedError as error:
        return Trial(row.path, cell.release, f"the kernel died: {error.reason}", None)
    except KernelError as error:
        if error.signal:
            return Trial(row.path, cell.release, "its init crashed", None)
        if predicted:  # nothing stood against it, so its own init returned this
            return Trial(row.path, cell.release, name_of(error.errno), None)
        outcome, agrees = name_of(error.errno), error.errno == cell.errno
    except (LkmError, OSError) as error:
        return Trial(row.path, cell.release, str(error), None)
    return Trial(row.path, cell.release, outcome, agrees)


def _load_needs(kernel: Kernel, path: str, tree: TreeFacts | None) -> str:
    """Load that kernel's own modules which the module says it needs, as modprobe would.

    Returns the one that did not load, "" for none.
    """
    for name in ModuleImage.open(path).depends if tree is not None else ():
        found = tree.modules.get(normalize(name)) if tree is not None else None
        if found is None or kernel.is_loaded(name):
            continue
        missing = _load_needs(kernel, found, tree)
        if missing:
            return missing
        try:
            kernel.load(found)
        except KernelDiedError:
            raise
        except KernelError:
            return name
    return ""
