"""Answer the kernel's module requests from a module tree."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lkm.errors import NotFoundError, UnsupportedError
from lkm.kernel.requests import Insertion, Provider

# Most kernels never ask for a module: what answers is imported at the first request.
if TYPE_CHECKING:
    from lkm.tree.plan import Step, Target
    from lkm.tree.resolver import Resolver

_INDEXES = ("modules.dep.bin", "modules.dep")


def from_tree(root: str | os.PathLike[str], release: str) -> Provider:
    """Return what ``modprobe -q -- NAME`` would load from a root; nothing is read before it asks.

    Modules that are loaded already are among them: the kernel answers EEXIST, as to modprobe.
    """

    @functools.cache
    def resolver() -> Resolver:
        from lkm.tree.resolver import Resolver
        from lkm.tree.root import Root

        made = Resolver(Root(os.fspath(root), release))
        if not any(os.path.exists(os.path.join(made.directory, name)) for name in _INDEXES):
            raise NotFoundError(f"{made.directory} has no modules.dep", hint="run depmod for it")
        return made

    def provide(name: str) -> Sequence[Insertion]:
        targets = resolver().resolve(name).targets
        return tuple(_insertion(target, step) for target in targets for step in _loads(target))

    return provide


def _loads(target: Target) -> Iterator[Step]:
    from lkm.tree.plan import StepKind

    for step in target.steps:
        if step.kind is StepKind.INSTALL:
            raise UnsupportedError(
                f"{step.module} has an install command, and the machine has no shell to run it"
            )
        if step.kind is StepKind.INSMOD:
            yield step


def _insertion(target: Target, step: Step) -> Insertion:
    from lkm.module import compression

    image = compression.decompress(Path(step.path).read_bytes(), path=step.path)
    return Insertion(step.module, image, step.options.strip(), target.module, step.required)
