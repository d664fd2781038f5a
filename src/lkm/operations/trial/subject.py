"""The module to try and those it needs first, from its file or from the kernel's module tree."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from lkm.errors import NotFoundError, UsageError
from lkm.kernel.kernel import Kernel
from lkm.kernels.known import KnownKernel
from lkm.module.image import ModuleImage
from lkm.module.names import normalize
from lkm.tree.plan import Plan, Reason, Step, StepKind
from lkm.tree.resolver import Resolver
from lkm.tree.root import Root


@dataclass(frozen=True, slots=True)
class Dependency:
    """A module to load before: its file, its options, and why it takes part."""

    module: str
    path: str
    options: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """The module, the options configured for it, and what is to be loaded before and after."""

    image: ModuleImage
    options: str
    before: tuple[Dependency, ...]
    after: tuple[Dependency, ...]
    problems: tuple[str, ...] = ()


def find_modules(
    what: str,
    is_file: bool,
    known: KnownKernel | None,
    kernel: Kernel,
    siblings: Mapping[str, str] | None = None,
) -> Wanted:
    """Return the module ``what`` (a file, or a name or alias in the kernel's tree).

    ``siblings`` are the files that were built with it, by name. What ``kernel`` has loaded already
    is left out. Raises NotFoundError when the tree has no such module, or there is no tree;
    UsageError for one that is built into the kernel.
    """
    resolver = _resolver(known)
    loaded = {module.name for module in kernel.modules()}
    if is_file:
        return _Needs(resolver, loaded, siblings or {}).of_file(ModuleImage.open(what))
    if resolver is None:
        raise NotFoundError(f"there is no module tree to look {what!r} up in")
    plan = resolver.resolve(what, ignore_commands=True, loaded=loaded.__contains__)
    return _of_plan(plan, resolver)


def _resolver(known: KnownKernel | None) -> Resolver | None:
    if known is None or known.modules is None:
        return None
    return Resolver(Root(known.root, known.release))


class _Needs:
    """What a file needs: it need not be in the tree, so what it depends on it says itself.

    What was built with it comes first, then the tree, then what lies beside it.
    """

    def __init__(
        self, resolver: Resolver | None, loaded: set[str], siblings: Mapping[str, str]
    ) -> None:
        self._resolver = resolver
        self._loaded = loaded
        self._siblings = siblings
        self._before: dict[str, Dependency] = {}
        self._problems: list[str] = []

    def of_file(self, image: ModuleImage) -> Wanted:
        """Return what the module in a file needs."""
        self._collect(image, {normalize(image.name)})
        return Wanted(image, "", tuple(self._before.values()), (), tuple(self._problems))

    def _collect(self, image: ModuleImage, waiting: set[str]) -> None:
        for name in image.depends:
            if normalize(name) in self._loaded or normalize(name) in waiting | self._before.keys():
                continue
            sibling = self._siblings.get(normalize(name))
            if sibling:
                self._add_file(name, sibling, f"{image.name} needs it", waiting)
            elif not self._add_of_tree(name, image):
                neighbour = os.path.join(os.path.dirname(image.path), f"{name}.ko")
                if "/" not in name and os.path.exists(neighbour):
                    reason = f"{image.name} needs it; it lies beside it"
                    self._add_file(name, neighbour, reason, waiting)
                elif self._resolver is None:
                    self._problems.append(
                        f"{name}, which it needs, is nowhere: there is no module tree"
                    )
                else:
                    place = self._resolver.directory
                    self._problems.append(f"{name}, which {image.name} needs, is not in {place}")

    def _add_file(self, name: str, path: str, reason: str, waiting: set[str]) -> None:
        self._collect(ModuleImage.open(path), waiting | {normalize(name)})
        self._before[normalize(name)] = Dependency(name, path, "", reason)

    def _add_of_tree(self, name: str, image: ModuleImage) -> bool:
        """Add what the tree knows by that name, and all that needs; return whether it does."""
        if self._resolver is None:
            return False
        plan = self._resolver.resolve(name, ignore_commands=True, loaded=self._loaded.__contains__)
        if not plan.targets:
            return False
        for step in _insertions(plan):
            reason = f"{image.name} needs it" if step.module == name else _reason(step)
            self._before.setdefault(normalize(step.module), _dependency(step, reason))
        return True


def _of_plan(plan: Plan, resolver: Resolver) -> Wanted:
    if not plan.targets:
        raise NotFoundError(
            f"no module {plan.name!r} in {resolver.directory}",
            hint="; ".join(plan.problems) or "give the path of a .ko file, or its source",
        )
    steps = plan.targets[0].steps
    if steps[0].kind is StepKind.BUILTIN and len(steps) == 1:
        raise UsageError(f"{steps[0].module} is built into the kernel: there is nothing to load")
    insertions = _insertions(plan)
    places = [n for n, step in enumerate(insertions) if step.reason is Reason.REQUESTED]
    if not places:
        raise NotFoundError(f"{plan.name} is {steps[-1].kind.replace('_', ' ')}")
    place = places[0]
    target = insertions[place]
    before, after = (
        tuple(_dependency(step, _reason(step)) for step in part)
        for part in (insertions[:place], insertions[place + 1 :])
    )
    image = ModuleImage.open(target.path)
    return Wanted(image, target.options, before, after, plan.problems)


def _insertions(plan: Plan) -> list[Step]:
    """Return the steps that load a file, each module once."""
    steps: dict[str, Step] = {}
    for step in plan.targets[0].steps:
        if step.kind is StepKind.INSMOD:
            steps.setdefault(step.module, step)
    return list(steps.values())


def _dependency(step: Step, reason: str) -> Dependency:
    return Dependency(step.module, step.path, step.options.strip(), reason)


def _reason(step: Step) -> str:
    if step.reason is Reason.DEPENDENCY:
        return f"{step.parent} needs it" if step.parent else "it is needed"
    if step.reason in (Reason.SOFTDEP_PRE, Reason.SOFTDEP_POST):
        return f"{step.parent} asks for it ({step.reason})"
    return "it was asked for"
