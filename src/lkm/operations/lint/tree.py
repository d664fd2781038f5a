"""The findings of lint checks, and the facts of a module tree that they ask for."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from enum import StrEnum

from lkm.module.names import module_name
from lkm.operations.module_facts import ModuleFacts, builtin_facts, read_facts
from lkm.tree.config import COMMAND_LINE, Rule
from lkm.tree.config_files import Source, logical_lines, read_bytes
from lkm.tree.resolver import Resolver


class LintSeverity(StrEnum):
    """How much a finding matters: something is broken, is not as it seems, is good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One finding: a stable ``code``, where it is, what is so, what to do (``hint``)."""

    code: str
    severity: LintSeverity
    source: Source
    message: str
    hint: str = ""


class LintTree:
    """The facts of a tree and its modules that checks ask for, each read once."""

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

    def written(self, kind: str) -> list[Rule]:
        """Return the rules of files that people write: not depmod's, nor the boot loader's."""
        generated = {f"{self.resolver.directory}/modules.{name}" for name in ("softdep", "weakdep")}
        return [
            rule
            for rule in self.config.of(kind)
            if rule.source.path != COMMAND_LINE and rule.source.path not in generated
        ]

    @functools.cache  # noqa: B019 - a tree lives as long as one lint
    def _lines(self, path: str) -> dict[int, str]:
        lines = logical_lines(read_bytes(path) or b"")
        return {first: os.fsdecode(line) for first, _, line in lines}

    def words(self, source: Source) -> list[str]:
        """Return the words of the line at ``source``, those that modprobe drops as well."""
        return self._lines(source.path).get(source.line, "").split()

    def is_void(self, install: Rule) -> bool:
        """Whether an install rule is not run, for its module has a softdep that is followed.

        kmod takes the softdep in its place (``libkmod-module.c: lookup_softdep``).
        """
        return any(self.resolver.soft_dependencies(install.name))

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
