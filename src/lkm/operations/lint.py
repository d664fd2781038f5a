"""Find what does not do what its author thinks, in modprobe.d and modules-load.d."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from lkm.operations.module_facts import ModuleFacts, builtin_facts, read_facts
from lkm.tree.config import COMMAND_LINE, Rule, read_modules_load
from lkm.tree.config_files import MODPROBE_SUFFIXES, Source, read_bytes
from lkm.tree.names import is_module_file, module_name
from lkm.tree.resolver import Resolver


class Severity(StrEnum):
    """How much a finding matters: something is broken, is not as it seems, is good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: a stable ``code``, where it is, what is so, what to do (``hint``)."""

    code: str
    severity: Severity
    source: Source
    message: str
    hint: str = ""


class Tree:
    """What the checks ask of the tree and its modules, each asked once."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self.config = resolver.config
        self.blacklisted = frozenset(rule.name for rule in self.config.of("blacklist"))

    @functools.cached_property
    def builtin(self) -> dict[str, ModuleFacts]:
        """The modules of the kernel image."""
        return builtin_facts(self.resolver.directory)

    @functools.cached_property
    def users(self) -> dict[str, list[str]]:
        """The modules that need a module, near or far."""
        found: dict[str, list[str]] = {}
        for key, _ in self.resolver.indexes.items("modules.dep"):
            module = module_name(key)
            for needed in self.resolver.dependencies(self.resolver.of_module(module)):
                found.setdefault(needed.module, []).append(module)
        return found

    @functools.cached_property
    def aliased(self) -> frozenset[str]:
        """The modules that some alias, of the index or a rule, stands for."""
        values = {value.value for _, value in self.resolver.indexes.items("modules.alias")}
        return frozenset(values | {rule.value for rule in self.config.of("alias")})

    def is_module(self, name: str) -> bool:
        """Whether a module of that very name is in the tree or the kernel image."""
        return self.resolver.indexes.dependency_line(name) is not None or self.is_builtin(name)

    def is_builtin(self, name: str) -> bool:
        """Whether it is part of the kernel image; also code that could not be a module."""
        return self.resolver.indexes.is_builtin(name) or name in self.builtin

    def is_known(self, name: str) -> bool:
        """Whether the name, or the alias, stands for a module of the tree."""
        return name in self.builtin or any(
            self.is_module(found.module) for found in self.resolver.lookup(name)
        )

    @functools.cache  # noqa: B019 - a tree lives as long as one lint
    def facts(self, module: str) -> ModuleFacts | None:
        """Return a module's facts, ``None`` when it has no file and is not built in."""
        path = self.resolver.path_of(self.resolver.of_module(module))
        return read_facts(module, path) if path else self.builtin.get(module)


def lint(resolver: Resolver, kernel_command_line: str = COMMAND_LINE) -> tuple[Finding, ...]:
    """Check a root's configuration against its modules; findings in the order of their places."""
    from lkm.operations import lint_rules  # which imports what is above

    tree = Tree(resolver)
    loads = read_modules_load(resolver.root, kernel_command_line)
    findings = [
        *_bad_lines(tree),
        *_masked_files(tree),
        *_files_not_read(tree),
        *_carriage_returns(tree),
        *(finding for check in lint_rules.CHECKS for finding in check(tree)),
        *_loads(tree, loads),
        *_index(tree),
    ]
    return tuple(sorted(set(findings), key=lambda f: (f.source, f.code, f.message)))


def _bad_lines(tree: Tree) -> Iterator[Finding]:
    for bad in tree.config.bad_lines:
        if bad.deprecated:
            message = f"{bad.word!r} is not read any more"
        else:
            message = f"modprobe does not understand this line, which begins with {bad.word!r}"
        hint = "a comment begins in the first column" if bad.word.startswith("#") else ""
        yield Finding("bad-line", Severity.ERROR, bad.source, message, hint)


def _masked_files(tree: Tree) -> Iterator[Finding]:
    for file in tree.config.files:
        if not file.masked_by:
            continue
        masking = read_bytes(file.masked_by) or b""
        if not masking.strip():
            message, severity = f"is switched off by the empty {file.masked_by}", Severity.NOTE
        elif masking == read_bytes(file.path):
            message, severity = f"is hidden by {file.masked_by}, which is the same", Severity.NOTE
        else:
            message, severity = f"is not read: {file.masked_by} hides it", Severity.WARNING
        yield Finding(
            "masked-file", severity, Source(file.path), message,
            "give one of them another name if both shall count",
        )  # fmt: skip


def _files_not_read(tree: Tree) -> Iterator[Finding]:
    for folder in tree.resolver.root.config_directories("modprobe.d"):
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if not name.startswith(".") and not name.endswith(MODPROBE_SUFFIXES):
                yield Finding(
                    "not-read", Severity.WARNING, Source(f"{folder}/{name}"),
                    "is not read: its name does not end in .conf", "rename it, or remove it",
                )  # fmt: skip


def _carriage_returns(tree: Tree) -> Iterator[Finding]:
    for file in tree.config.files:
        lines = (read_bytes(file.path) or b"").split(b"\n")
        for number, line in enumerate(lines, 1):
            if line.endswith(b"\r"):
                yield Finding(
                    "carriage-return", Severity.ERROR, Source(file.path, number),
                    "ends in a carriage return, which becomes part of the last word",
                    f"sed -i 's/\\r$//' {file.path}",
                )  # fmt: skip
                break


def _loads(tree: Tree, loads: tuple[Rule, ...]) -> Iterator[Finding]:
    for rule in loads:
        found = tree.resolver.lookup(rule.name)
        if not tree.is_known(rule.name):
            message = f"{rule.name} is no module of {tree.resolver.root.release}"
            yield Finding("unknown-module", Severity.WARNING, rule.source, message)
        for candidate in found:
            blacklist = tree.resolver.blacklist_rule(candidate.module)
            if blacklist:
                message = f"{rule.name} is not loaded at boot: {blacklist.source} blacklists it"
                yield Finding("load-blacklisted", Severity.WARNING, rule.source, message)


def _index(tree: Tree) -> Iterator[Finding]:
    """Find modules that depmod has not seen, and files that are gone since it ran."""
    directory = tree.resolver.directory
    source = Source(f"{directory}/modules.dep")
    lines = [value.value for _, value in tree.resolver.indexes.items("modules.dep")]
    indexed = {os.path.join(directory, line.partition(":")[0]) for line in lines}
    there = {
        os.path.join(folder, name)
        for folder, _, names in os.walk(directory)
        for name in names
        if is_module_file(name)
    }
    new = sorted(there - indexed)
    gone = sorted(path for path in indexed - there if not os.path.exists(path))
    hint = f"depmod {tree.resolver.root.release}"
    for code, paths, what in (
        ("not-indexed", new, "does not know"),
        ("missing-file", gone, "names, though it is gone,"),
    ):
        if paths:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            message = f"the index {what} {paths[0]}{more}"
            yield Finding(code, Severity.WARNING, source, message, hint)
