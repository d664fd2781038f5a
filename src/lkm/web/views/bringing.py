"""The file of the module a view is about, and the files to load before it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from lkm.build import kbuild
from lkm.errors import NotFoundError
from lkm.kernels.choose import Wish, choose, choose_bootable, headers_of
from lkm.kernels.known import KnownKernel, find_kernel
from lkm.operations.resolve import open_resolver
from lkm.tree.plan import StepKind
from lkm.web.contract.requests import Subject
from lkm.web.views.running import Telling, kernel_of


@dataclass(frozen=True, slots=True)
class BroughtModule:
    """A module's file for a kernel, and the files of what it needs, in loading order."""

    path: str
    kernel: KnownKernel
    before: tuple[str, ...] = ()


def bring_file(subject: Subject, release: str, telling: Telling) -> BroughtModule:
    """Return the file of a module: brought, in the kernel's tree, or an example that is built."""
    if subject.example:
        choice = choose(kernel_of(release), Wish(from_source=True))
        if choice.known is None:
            raise NotFoundError("no kernel is here", hint="lkm kernels fetch amd64 --headers")
        built = kbuild.build(telling.what, headers_of(choice.known.release))
        return BroughtModule(os.fspath(built.modules[0]), choice.known)
    kernel = choose_bootable(release)
    if not subject.name:
        return BroughtModule(telling.what, kernel)
    files = _files(subject.name, kernel.release)
    return BroughtModule(files[-1], kernel, tuple(files[:-1]))


def _files(name: str, release: str) -> list[str]:
    """Return the files to load for a module of a kernel's tree, itself last."""
    plan = open_resolver(None, find_kernel(release).release).resolve(name, ignore_commands=True)
    files = [step.path for step in plan.steps if step.kind is StepKind.INSMOD]
    if not files:
        raise NotFoundError(f"{release} has no module {name} to load")
    return list(dict.fromkeys(files))
