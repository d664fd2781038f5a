"""The module to try and those it needs first, from its file or from the kernel's module tree."""

from __future__ import annotations

import os
from dataclasses import dataclass

from lkm.errors import NotFoundError, UsageError
from lkm.kernel.kernel import Kernel
from lkm.kernels.known import KnownKernel
from lkm.module.image import ModuleImage
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


def find_modules(what: str, is_file: bool, known: KnownKernel | None, kernel: Kernel) -> Wanted:
    """Return the module ``what`` (a file, or a name or alias in the kernel's tree).

    What ``kernel`` has loaded already is left out. Raises NotFoundError when the tree has no such
    module, or there is no tree; UsageError for one that is built into the kernel.
    """
    resolver = _resolver(known)
    loaded = {module.name for module in kernel.modules()}
    if is_file:
        return _of_file(ModuleImage.open(what), resolver, loaded)
    if resolver is None:
        raise NotFoundError(f"there is no module tree to look {what!r} up in")
    plan = resolver.resolve(what, ignore_commands=True, loaded=loaded.__contains__)
    return _of_plan(plan, resolver)


def _resolver(known: KnownKernel | None) -> Resolver | None:
    if known is None or known.modules is None:
        return None
    return Resolver(Root(known.root, known.release))


def _of_file(image: ModuleImage, resolver: Resolver | None, loaded: set[str]) -> Wanted:
    """A file need not be in the tree: what it depends on is what it says itself."""
    before: dict[str, Dependency] = {}
    problems = []
    for name in image.depends:
        if resolver is None:
            problems.append(f"{name}, which it needs, is nowhere: there is no module tree")
            continue
        neighbour = os.path.join(os.path.dirname(image.path), f"{name}.ko")
        plan = resolver.resolve(name, ignore_commands=True, loaded=loaded.__contains__)
        if plan.targets:
            for step in _insertions(plan):
                reason = f"{image.name} needs it" if step.module == name else _reason(step)
                before.setdefault(step.module, _dependency(step, reason))
        elif "/" not in name and os.path.exists(neighbour):
            reason = f"{image.name} needs it; it lies beside it"
            before.setdefault(name, Dependency(name, neighbour, "", reason))
        elif name not in loaded:
            problems.append(f"{name}, which {image.name} needs, is not in {resolver.directory}")
    return Wanted(image, "", tuple(before.values()), (), tuple(problems))


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
