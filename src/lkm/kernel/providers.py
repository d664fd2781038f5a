"""Answer the kernel's module requests from a module tree."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lkm.errors import FormatError, NotFoundError, UnsupportedError
from lkm.kernel.requests import Insertion, Provider, check_name

# Most kernels never ask for a module: what answers is imported at the first request.
if TYPE_CHECKING:
    from lkm.tree.plan import PlanTarget, Step
    from lkm.tree.resolver import Resolver

_INDEXES = ("modules.dep.bin", "modules.dep")
_MOST_MODULES = 500
_LARGEST_FILE = 128 << 20
_ELF = b"\x7fELF"


def from_tree(root: str | os.PathLike[str], release: str) -> Provider:
    """Return what ``modprobe -q -- NAME`` would load from a root; nothing is read before it asks.

    Modules that are loaded already are among them: the kernel answers EEXIST, as to modprobe. The
    name is looked up in the root's indexes; it is never taken for a path. Raises UnsupportedError
    for one that is, or that stands for too much; FormatError for a file that is no module.
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
        check_name(name)
        targets = resolver().resolve(name, files=False).targets
        loads = [(target, step) for target in targets for step in _loads(target)]
        if len(loads) > _MOST_MODULES:
            raise UnsupportedError(f"{name} stands for {len(loads)} modules")
        directory = resolver().directory
        return tuple(_insertion(target, step, directory) for target, step in loads)

    return provide


def _loads(target: PlanTarget) -> Iterator[Step]:
    from lkm.tree.plan import StepKind

    for step in target.steps:
        if step.kind is StepKind.INSTALL:
            raise UnsupportedError(
                f"{step.module} has an install command, and the machine has no shell to run it"
            )
        if step.kind is StepKind.INSMOD:
            yield step


def _insertion(target: PlanTarget, step: Step, directory: str) -> Insertion:
    from lkm.module import compression

    if not os.path.normpath(step.path).startswith(os.path.normpath(directory) + os.sep):
        raise UnsupportedError(f"{step.path} is outside {directory}: no kernel is given it")
    image = compression.decompress(_read(step.path), path=step.path)
    if not image.startswith(_ELF):
        raise FormatError("a module", repr(image[:4]), path=step.path, offset=0)
    return Insertion(step.module, image, step.options.strip(), target.module, step.required)


def _read(path: str) -> bytes:
    """Return the content of a regular file; of a device or a pipe nothing is read."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise FormatError("a module", "what is no regular file", path=path)
        if status.st_size > _LARGEST_FILE:
            raise FormatError("a module", f"{status.st_size} bytes", path=path)
        return file.read(_LARGEST_FILE)
