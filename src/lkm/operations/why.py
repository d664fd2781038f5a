"""Why a name stands for what it does, and which rules decide what happens to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from lkm.module.names import module_name, normalize_alias
from lkm.operations.lint import initramfs
from lkm.tree.config import Rule, softdeps
from lkm.tree.config_files import Source
from lkm.tree.plan import Plan, Reason, StepKind
from lkm.tree.resolver import Resolver
from lkm.tree.wildcards import match


class Effect(StrEnum):
    """The effect of a rule."""

    APPLIES = "applies"
    SHADOWED = "shadowed"
    MASKED = "masked"
    NONE = "none"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule that names a module of the plan, and what becomes of it.

    ``because`` is the rule, file or circumstance that decides: the rule that shadows this one,
    the file that masks it.
    """

    rule: Rule
    module: str
    effect: Effect
    because: str = ""


@dataclass(frozen=True, slots=True)
class Meaning:
    """A place that knows the name: the pattern there, the module it gives, and whether it counts.

    The places are in the order modprobe asks them; the first that knows the name decides.
    """

    source: Source
    pattern: str
    module: str
    decides: bool


@dataclass(frozen=True, slots=True)
class EarlyLoad:
    """A module with rules that an initramfs may load, before the root file system's rules count.

    ``image`` is the initramfs that is here ("" for none), ``newer`` the rules whose files changed
    after it was made, ``command`` what makes it anew.
    """

    module: str
    image: str
    newer: tuple[str, ...]
    command: str


@dataclass(frozen=True, slots=True)
class NameExplanation:
    """The answer to ``lkm why``; ``similar`` are names that an unknown one may be a slip of."""

    name: str
    plan: Plan
    meanings: tuple[Meaning, ...]
    rules: tuple[Judged, ...]
    similar: tuple[str, ...]
    early: tuple[EarlyLoad, ...] = ()


def explain(resolver: Resolver, name: str) -> NameExplanation:
    """Explain what loading ``name`` would do with nothing loaded yet."""
    plan = resolver.resolve(name)
    modules = list(dict.fromkeys(step.module for step in plan.steps))
    modules += [t.module for t in plan.targets if t.module not in modules]
    aliases = {target.module: target.alias for target in plan.targets}
    rules = [
        judged
        for module in modules
        for judged in _judge(resolver, plan, module, aliases.get(module, ""))
    ]
    meanings = tuple(_meanings(resolver, name, plan))
    similar = () if plan.targets else _similar(resolver, name)
    early = tuple(_early(resolver, rules))
    return NameExplanation(name, plan, meanings, tuple(rules), similar, early)


def _early(resolver: Resolver, rules: list[Judged]) -> Iterator[EarlyLoad]:
    """Yield the modules with written rules that an initramfs may load first."""
    written = [
        j for j in rules if not j.rule.source.path.startswith((resolver.directory, "/proc/"))
    ]
    for module in dict.fromkeys(judged.module for judged in written):
        if not initramfs.is_early(resolver, module):
            continue
        image = initramfs.image_of(resolver)
        own = [judged.rule for judged in written if judged.module == module]
        newer = [str(rule.source) for rule in own if image and initramfs.is_newer(rule, image)]
        yield EarlyLoad(module, image, tuple(newer), initramfs.command_for(resolver))


def _similar(resolver: Resolver, name: str) -> tuple[str, ...]:
    import difflib  # costs start-up time, needed for unknown names only

    known = [module_name(key) for key, _ in resolver.indexes.items("modules.dep")]
    return tuple(difflib.get_close_matches(module_name(name), known))


# What the name means


def _meanings(resolver: Resolver, name: str, plan: Plan) -> Iterator[Meaning]:
    alias = normalize_alias(name)
    if alias is None:
        return
    deciding = {str(target.found_by) for target in plan.targets}
    index = f"{resolver.directory}/"
    known = [
        *((rule.source, rule.name, rule.value) for rule in resolver.rules("alias", alias)),
        *_named(resolver, alias, index),
        *((Source(f"{index}modules.symbols.bin"), alias, module)
          for module in resolver.indexes.symbols(alias)),
        *_aliases(resolver, alias, index),
    ]  # fmt: skip
    for source, pattern, module in known:
        decides = str(source) in deciding or _index_of(source) in deciding
        yield Meaning(source, pattern, module, decides)


def _named(resolver: Resolver, alias: str, index: str) -> Iterator[tuple[Source, str, str]]:
    if resolver.indexes.dependency_line(alias) is not None:
        yield Source(f"{index}modules.dep.bin"), alias, alias
    if resolver.indexes.is_builtin(alias):
        yield Source(f"{index}modules.builtin.bin"), alias, alias
    for kind in ("install", "remove"):
        for rule in resolver.rules(kind, alias):
            if rule.name == alias:
                yield rule.source, alias, alias


def _aliases(resolver: Resolver, alias: str, index: str) -> Iterator[tuple[Source, str, str]]:
    """Yield the patterns of modules.alias that match, with their lines in the text file."""
    modules = set(resolver.indexes.aliases(alias))
    if modules:
        yield from _alias_lines(f"{index}modules.alias", alias, modules)
    for module in resolver.indexes.builtin_aliases(alias):
        yield Source(f"{index}modules.builtin.alias.bin"), alias, module


def _alias_lines(path: str, alias: str, modules: set[str]) -> Iterator[tuple[Source, str, str]]:
    text = os.fsencode(alias)
    left = set(modules)
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for number, line in enumerate(file, 1):
                _, _, rest = line.rstrip("\n").partition(" ")
                pattern, _, module = rest.rpartition(" ")
                if module in modules and match(os.fsencode(_normal(pattern)), text):
                    left.discard(module)
                    yield Source(path, number), pattern, module
    for module in sorted(left):
        yield Source(f"{path}.bin"), alias, module


def _normal(pattern: str) -> str:
    return normalize_alias(pattern) or pattern


def _index_of(source: Source) -> str:
    """The index a line of a text file belongs to, as targets name it."""
    return f"{source.path}.bin" if source.path.endswith("modules.alias") else ""


# What is configured


def _judge(resolver: Resolver, plan: Plan, module: str, alias: str) -> Iterator[Judged]:
    for rule in resolver.option_rules(module, alias):
        yield Judged(rule, module, Effect.APPLIES)
    yield from _first_counts(resolver, plan, module, "install")
    yield from _first_counts(resolver, plan, module, "remove")
    yield from _first_counts(resolver, plan, module, "softdep")
    for rule in resolver.rules("weakdep", module):
        yield Judged(rule, module, Effect.NONE, "weakdeps are for what builds an initramfs")
    yield from _blacklists(resolver, plan, module)
    for rule in resolver.config.masked:
        if rule.name in (module, alias) or (rule.kind == "alias" and rule.value == module):
            by = next(f.masked_by for f in resolver.config.files if f.path == rule.source.path)
            yield Judged(rule, module, Effect.MASKED, by)
    for rule in resolver.config.kernel:
        if rule.kind == "module_blacklist" and rule.name == module:
            yield Judged(rule, module, Effect.KERNEL, "the kernel refuses to load it (EPERM)")


def _first_counts(resolver: Resolver, plan: Plan, module: str, kind: str) -> Iterator[Judged]:
    """Judge rules of which only the first for a module counts."""
    rules = resolver.rules(kind, module)
    for place, rule in enumerate(rules):
        if place:
            yield Judged(rule, module, Effect.SHADOWED, str(rules[0].source))
        elif kind == "softdep" and not any(softdeps(rule.value)):
            yield Judged(rule, module, Effect.NONE, "no pre: or post: is recognised in it")
        elif kind == "install" and not _installs(plan, module):
            yield Judged(rule, module, Effect.NONE, "its softdep takes the place of it")
        else:
            yield Judged(rule, module, Effect.APPLIES)


def _installs(plan: Plan, module: str) -> bool:
    steps = [step for step in plan.steps if step.module == module]
    return any(s.kind in (StepKind.INSTALL, StepKind.BLACKLISTED) for s in steps) or not steps


def _blacklists(resolver: Resolver, plan: Plan, module: str) -> Iterator[Judged]:
    steps = [step for step in plan.steps if step.module == module]
    stopped = any(step.kind is StepKind.BLACKLISTED for step in steps)
    how = "it is loaded by name, not by an alias"
    if steps and steps[0].reason is not Reason.REQUESTED:
        how = f"it is loaded as a {steps[0].reason.value} of {steps[0].parent}"
    for rule in resolver.config.of("blacklist"):
        if rule.name == module:
            yield Judged(
                rule, module, Effect.APPLIES if stopped else Effect.NONE, "" if stopped else how
            )
