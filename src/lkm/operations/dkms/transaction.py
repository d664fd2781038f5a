"""Installations and removals that a crash cut short are undone or finished by the next command.

While files are put into a kernel's modules, ``T/.pending/NAME`` tells which: the file is written
before the first of them and removed after the last. Whoever finds one knows that its writer died,
for all this happens under the tree's lock.
"""

from __future__ import annotations

import json
import os

from lkm import files
from lkm.build.dkms_moduleversion import same_bytes
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from types import TracebackType

    from lkm.build.dkms_tree import DkmsTree, KernelTarget, Package


class Placed(Record):
    """A module put into a kernel's folder: from where, to where, whose place it took.

    ``original`` is the kernel's own file, empty where there was none, ``kept`` where it is kept.
    """

    origin: str
    target: str
    original: str = ""
    kept: str = ""


class Transaction:
    """Notes what an installation does; a context manager that forgets it when all is done."""

    def __init__(self, tree: DkmsTree, package: Package, target: KernelTarget) -> None:
        self._folder = f"{tree.path}/.pending"
        name = f"{package.module}-{package.version}-{target.kernel}-{target.arch}"
        self._path = f"{self._folder}/{name}"
        self._kernel = target.kernel
        self._placed: list[Placed] = []

    def __enter__(self) -> Transaction:
        return self

    def note(self, placed: Placed) -> None:
        """Write down what is about to be done."""
        self._placed.append(placed)
        os.makedirs(self._folder, exist_ok=True)
        entries = [list(entry) for entry in self._placed]
        text = json.dumps({"kernel": self._kernel, "placed": entries})
        files.write_atomic(self._path, text.encode())

    def undo(self) -> None:
        """Take back what was done."""
        _take_back(self._placed)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.undo()
        if self._placed:
            os.unlink(self._path)
            _remove_if_empty(self._folder)


def recover(tree: DkmsTree) -> list[str]:
    """Take back installations that were cut short; return the kernels that need a depmod."""
    folder = f"{tree.path}/.pending"
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    kernels = []
    for name in names:
        if name.startswith("."):
            os.unlink(f"{folder}/{name}")
            continue
        with open(f"{folder}/{name}", "rb") as file:
            noted = json.load(file)
        _take_back([Placed(*entry) for entry in noted["placed"]])
        kernels.append(str(noted["kernel"]))
        os.unlink(f"{folder}/{name}")
    _remove_if_empty(folder)
    return kernels


def _take_back(placed: list[Placed]) -> None:
    for entry in reversed(placed):
        if entry.kept and os.path.exists(entry.kept):
            if entry.original != entry.target:
                _remove_ours(entry)
            if not os.path.exists(entry.original) or same_bytes(entry.target, entry.origin):
                os.replace(_beside(entry.kept, entry.original), entry.original)
            _remove_quietly(entry.kept, f"{entry.kept}.origin")
            _remove_if_empty(os.path.dirname(entry.kept))
        else:
            _remove_ours(entry)


def _remove_ours(entry: Placed) -> None:
    if same_bytes(entry.target, entry.origin):
        os.unlink(entry.target)


def _beside(kept: str, original: str) -> str:
    """Copy what is kept to beside its place, from where it can be renamed."""
    import shutil  # only after a crash

    temporary = f"{os.path.dirname(original)}/.{os.path.basename(original)}.new"
    shutil.copy2(kept, temporary)
    return temporary


def _remove_quietly(*paths: str) -> None:
    for path in paths:
        if os.path.lexists(path):
            os.unlink(path)


def _remove_if_empty(folder: str) -> None:
    try:
        os.rmdir(folder)
    except OSError:
        return
