"""Who answers when the kernel asks for a module: the resolver, over a root's module tree."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

from lkm.errors import NotFoundError, UnsupportedError
from lkm.kernel.emulated.modprobe import Insertion, Provider
from lkm.module import compression
from lkm.tree.plan import StepKind
from lkm.tree.resolver import Resolver
from lkm.tree.root import Root

_INDEXES = ("modules.dep.bin", "modules.dep")


def from_tree(root: str | os.PathLike[str], release: str) -> Provider:
    """Return what ``modprobe -q -- NAME`` would load from a root; nothing is read before it asks.

    Modules that are loaded already are among them: the kernel answers EEXIST, as to modprobe.
    """

    @functools.cache
    def resolver() -> Resolver:
        made = Resolver(Root(os.fspath(root), release))
        if not any(os.path.exists(os.path.join(made.directory, name)) for name in _INDEXES):
            raise NotFoundError(f"{made.directory} has no modules.dep", hint="run depmod for it")
        return made

    def provide(name: str) -> Sequence[Insertion]:
        steps: dict[str, Insertion] = {}
        for step in resolver().resolve(name).steps:
            if step.kind is StepKind.INSTALL:
                raise UnsupportedError(
                    f"{step.module} has an install command, and the machine has no shell to run it"
                )
            if step.kind is StepKind.INSMOD and step.module not in steps:
                data = compression.decompress(Path(step.path).read_bytes(), path=step.path)
                steps[step.module] = Insertion(step.module, data, step.options.strip())
        return tuple(steps.values())

    return provide
