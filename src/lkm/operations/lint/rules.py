"""The checks of single modprobe.d rules; each takes the tree and yields findings."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

from lkm.module.names import normalize
from lkm.operations.lint import words
from lkm.operations.lint.tree import LintFinding, LintSeverity, LintTree
from lkm.tree.config import Rule, softdeps

_WILD = re.compile(r"[*?\[]")
_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_NO_COMMANDS = frozenset({"true", "false", ":", "exit"})
_OF_EVERY_MODULE = frozenset({"dyndbg"})
_SHOWN = 4  # modules named in a message; the rest is counted


def _several(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(sorted(names)[:_SHOWN]) + more


# Names


def patterns(tree: LintTree) -> Iterator[LintFinding]:
    """Wildcards where names are compared letter by letter."""
    for kind in ("blacklist", "options"):
        for rule in tree.written(kind):
            if _WILD.search(rule.name) and not (kind == "options" and _is_alias(tree, rule)):
                yield LintFinding(
                    "wildcard", LintSeverity.WARNING, rule.source,
                    f"{kind} takes no wildcards: {rule.name} matches no module",
                    "write one line for each module",
                )  # fmt: skip


def _is_alias(tree: LintTree, rule: Rule) -> bool:
    return any(alias.name == rule.name for alias in tree.config.of("alias"))


def unknown_modules(tree: LintTree) -> Iterator[LintFinding]:
    """Names no module of the tree has."""
    release = tree.resolver.root.release
    for kind, severity in (("blacklist", LintSeverity.NOTE), ("options", LintSeverity.WARNING)):
        for rule in tree.written(kind):
            if _WILD.search(rule.name) or tree.is_module(rule.name) or _is_alias(tree, rule):
                continue
            if words.plain_name(rule.name) != rule.name:
                continue  # which says more
            if not tree.is_known(rule.name):
                message = f"{rule.name} is no module of {release}"
                yield LintFinding("unknown-module", severity, rule.source, message)
            elif kind == "blacklist":
                modules = [found.module for found in tree.resolver.lookup(rule.name)]
                yield LintFinding(
                    "blacklist-alias", LintSeverity.WARNING, rule.source,
                    f"{rule.name} is an alias; a blacklist compares the names of modules",
                    f"blacklist {modules[0]}",
                )  # fmt: skip
    yield from _unknown_targets(tree, release)


def _unknown_targets(tree: LintTree, release: str) -> Iterator[LintFinding]:
    for rule in tree.written("alias"):
        if rule.value != "off" and not tree.is_known(rule.value):
            message = f"{rule.value}, for which {rule.name} is to stand, is no module of {release}"
            yield LintFinding("unknown-module", LintSeverity.NOTE, rule.source, message)
    for rule in tree.written("softdep"):
        before, after = softdeps(rule.value)
        for name in (*before, *after):
            if not tree.is_known(name):
                message = f"{name}, in a softdep, is no module of {release}"
                yield LintFinding("unknown-module", LintSeverity.NOTE, rule.source, message)


# Options


def options(tree: LintTree) -> Iterator[LintFinding]:
    """Parameters a module does not have, or that never reach it."""
    for rule in tree.written("options"):
        modules = {found.module for found in tree.resolver.lookup(rule.name)}
        for module in sorted(modules or {rule.name}):
            facts = tree.facts(module)
            if tree.is_builtin(module):
                yield LintFinding(
                    "options-builtin", LintSeverity.WARNING, rule.source,
                    f"{module} is part of the kernel image, which does not read modprobe.d",
                    f"on the kernel command line: {module}.PARAMETER=VALUE",
                )  # fmt: skip
            elif facts and not facts.problem:
                yield from _parameters(rule, module, facts.parameters)


def _parameters(rule: Rule, module: str, known: dict[str, str]) -> Iterator[LintFinding]:
    for word in _WORD.findall(rule.value):
        name = normalize(word.partition("=")[0])
        if word.startswith("#"):
            yield LintFinding(
                "comment", LintSeverity.WARNING, rule.source,
                "a comment after a rule is passed to the module as parameters",
                "put it on a line of its own",
            )  # fmt: skip
            return
        if name not in {normalize(parameter) for parameter in known} | _OF_EVERY_MODULE:
            has = f"it has {_several(list(known))}" if known else "it has none"
            yield LintFinding(
                "unknown-parameter", LintSeverity.WARNING, rule.source,
                f"{module} has no parameter {name}; the kernel ignores it", has,
            )  # fmt: skip


def overridden(tree: LintTree) -> Iterator[LintFinding]:
    """Parameters that a later rule sets again."""
    seen: dict[tuple[str, str], Rule] = {}
    for rule in tree.config.of("options"):
        for word in _WORD.findall(rule.value):
            name, equals, _ = word.partition("=")
            earlier = seen.get((rule.name, name))
            if equals and earlier and earlier.source != rule.source:
                message = f"{name} of {rule.name} is set again by {rule.source}, which counts"
                yield LintFinding("overridden", LintSeverity.NOTE, earlier.source, message)
            seen[rule.name, name] = rule


# Blacklists


def blacklists(tree: LintTree) -> Iterator[LintFinding]:
    """Blacklists that do not stop what they name."""
    for rule in tree.written("blacklist"):
        if not tree.is_module(rule.name) or _is_stopped(tree, rule.name):
            continue
        if tree.is_builtin(rule.name):
            message = f"{rule.name} is part of the kernel image and cannot be blacklisted"
            hint = f"on the kernel command line: initcall_blacklist=, if {rule.name} must not start"
            yield LintFinding("blacklist-builtin", LintSeverity.WARNING, rule.source, message, hint)
            continue
        users = [user for user in tree.users.get(rule.name, []) if user not in tree.blacklisted]
        users = [user for user in users if user in tree.aliased]
        if users:
            message = f"{rule.name} is still loaded for {_several(users)}"
            yield LintFinding(
                "blacklist-dependency", LintSeverity.WARNING, rule.source, message,
                f"install {rule.name} /bin/false, or module_blacklist={rule.name} for the kernel",
            )  # fmt: skip
        elif rule.name not in tree.aliased:
            message = f"{rule.name} has no alias: it is only ever loaded by name, which this allows"
            yield LintFinding(
                "blacklist-no-alias", LintSeverity.WARNING, rule.source, message,
                f"install {rule.name} /bin/false, or module_blacklist={rule.name} for the kernel",
            )  # fmt: skip


def _is_stopped(tree: LintTree, module: str) -> bool:
    """Whether an install rule keeps the module out as well."""
    rules = tree.resolver.rules("install", module)
    return bool(rules) and _is_no_command(rules[0].value) and not tree.is_void(rules[0])


# Commands


def _is_no_command(command: str) -> bool:
    words = command.split()
    return bool(words) and os.path.basename(words[0]) in _NO_COMMANDS


def commands(tree: LintTree) -> Iterator[LintFinding]:
    """Install commands that stand for a blacklist, call themselves, or lose options."""
    for rule in tree.written("install"):
        words = rule.value.split()
        if _is_no_command(rule.value) and not tree.is_void(rule):
            yield LintFinding(
                "install-hack", LintSeverity.NOTE, rule.source,
                f"keeps {rule.name} out by running {words[0]}; insmod and the kernel go round it",
                f"module_blacklist={rule.name} on the kernel command line stops every load",
            )  # fmt: skip
        elif any(os.path.basename(word) == "modprobe" for word in words):
            yield from _modprobe_command(rule, words)


def _modprobe_command(rule: Rule, words: list[str]) -> Iterator[LintFinding]:
    loads_itself = any(normalize(word) == rule.name for word in words)
    if loads_itself and not {"-i", "--ignore-install"} & set(words):
        message = f"the command to load {rule.name} loads {rule.name}, and so on without end"
        yield LintFinding(
            "install-loop", LintSeverity.ERROR, rule.source, message, "modprobe --ignore-install"
        )
    if loads_itself and "$CMDLINE_OPTS" not in rule.value:
        message = f"parameters given to modprobe {rule.name} are lost"
        yield LintFinding(
            "install-options", LintSeverity.NOTE, rule.source, message, "add $CMDLINE_OPTS"
        )


def lost_rules(tree: LintTree) -> Iterator[LintFinding]:
    """Softdep, install and remove rules after the first for a module, which alone counts."""
    for kind in ("softdep", "install", "remove"):
        written = tree.written(kind)
        for rule in written:
            first = tree.resolver.rules(kind, rule.name)[0]
            if first is not rule:
                yield LintFinding(
                    f"lost-{kind}", LintSeverity.WARNING, rule.source,
                    f"has no effect: for {rule.name} the first {kind} counts, {first.source}",
                    "write all of it in one line" if kind == "softdep" else "",
                )  # fmt: skip
    yield from _lost_own_softdeps(tree)


def _lost_own_softdeps(tree: LintTree) -> Iterator[LintFinding]:
    """Softdeps that modules bring themselves (MODULE_SOFTDEP) and that do not count."""
    written = set(tree.written("softdep"))
    lost: dict[Rule, list[Rule]] = {}
    for rule in tree.config.of("softdep"):
        first = tree.resolver.rules("softdep", rule.name)[0]
        if rule not in written and rule is not first:
            lost.setdefault(first, []).append(rule)
    for first, rules in lost.items():
        names = "; ".join(rule.value for rule in rules)
        if first in written:
            message = f"hides what {rules[0].name} itself asks for: {names}"
            hint = "add these modules to the line"
            yield LintFinding("hidden-softdep", LintSeverity.WARNING, first.source, message, hint)
        else:
            message = f"{first.name} has {len(rules)} more softdeps, which do not count: {names}"
            yield LintFinding("lost-softdep", LintSeverity.NOTE, first.source, message)


def odd_softdeps(tree: LintTree) -> Iterator[LintFinding]:
    """Softdeps in which modprobe sees nothing, and what they do to install commands."""
    for rule in tree.written("softdep"):
        if not any(softdeps(rule.value)):
            yield LintFinding(
                "empty-softdep", LintSeverity.WARNING, rule.source,
                "names nothing: modprobe sees neither pre: nor post:",
                f"softdep {rule.name} pre: MODULE..., with one blank before pre:",
            )  # fmt: skip
    yield from _void_installs(tree)
    for rule in tree.written("weakdep"):
        message = "modprobe before version 33 does not understand weakdep"
        yield LintFinding("weakdep", LintSeverity.NOTE, rule.source, message)


def _void_installs(tree: LintTree) -> Iterator[LintFinding]:
    """Install commands that a softdep takes the place of, the module's own as well."""
    for rule in tree.written("install"):
        first = tree.resolver.rules("install", rule.name)[0] is rule
        if not first or not tree.is_void(rule):
            continue
        softdep = tree.resolver.rules("softdep", rule.name)[0]
        own = softdep not in tree.written("softdep")
        whose = "brings a softdep of its own" if own else "has a softdep"
        hint = ""
        if _is_no_command(rule.value):
            hint = f"module_blacklist={rule.name} on the kernel command line keeps it out"
        yield LintFinding(
            "install-void", LintSeverity.WARNING, rule.source,
            f"is not run: {rule.name} {whose}, {softdep.source}", hint,
        )  # fmt: skip


def kernel_blacklist(tree: LintTree) -> Iterator[LintFinding]:
    """module_blacklist= for modules that are not there."""
    for rule in tree.config.kernel:
        if rule.kind == "module_blacklist" and not tree.is_module(rule.name):
            message = f"{rule.name}, in module_blacklist=, is no module"
            yield LintFinding("unknown-module", LintSeverity.NOTE, rule.source, message)


CHECKS: tuple[Callable[[LintTree], Iterator[LintFinding]], ...] = (
    patterns,
    unknown_modules,
    options,
    overridden,
    blacklists,
    commands,
    lost_rules,
    odd_softdeps,
    kernel_blacklist,
    words.names,
    words.dropped_words,
    words.option_words,
    words.values,
)
