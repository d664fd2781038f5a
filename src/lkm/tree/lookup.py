"""Look up a name: the modules it stands for, and the rules about each.

Source: the look-ups of kmod's ``libkmod/libkmod.c``, in the order of
``libkmod/libkmod-module.c: kmod_module_new_from_lookup``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from lkm.module.names import module_name, normalize_alias
from lkm.tree.config import Config, Rule, read_config, softdeps
from lkm.tree.config_files import Source
from lkm.tree.indexes import Indexes
from lkm.tree.patterns import PatternTable
from lkm.tree.root import Root


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A module that a name stands for.

    ``alias`` is what it was found by when not by its own name: an alias rule's pattern, or the
    alias asked for. To kmod the same module found by two aliases is two modules, so a resolver
    makes one candidate for each pair, and compares them by identity.
    """

    module: str
    alias: str
    found_by: Source


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The modules a module needs, in the order they must be loaded; or why they are not known."""

    modules: tuple[Candidate, ...] = ()
    problem: str = ""


class Lookup:
    """One root's configuration and indexes, and what was found in them.

    Make a new one when files may have changed.
    """

    def __init__(
        self, root: Root, config: Config | None = None, indexes: Indexes | None = None
    ) -> None:
        self.root = root
        self.directory = indexes.directory if indexes else root.modules_directory
        self.config = config or read_config(root=root, modules_directory=self.directory)
        self.indexes = indexes or Indexes(self.directory)
        self._rules = {
            kind: PatternTable(self.config.of(kind))
            for kind in ("alias", "install", "remove", "softdep", "weakdep")
        }
        self._blacklist = {r.name: r for r in reversed(self.config.of("blacklist"))}
        self._options: dict[str, list[tuple[int, Rule]]] = {}
        for place, rule in enumerate(self.config.of("options")):
            self._options.setdefault(rule.name, []).append((place, rule))
        self._found: dict[str, tuple[Candidate, ...]] = {}
        self._pool: dict[tuple[str, str], Candidate] = {}
        self._commands: dict[tuple[str, Candidate], Rule] = {}
        self._paths: dict[Candidate, str] = {}
        self._needed: dict[Candidate, Dependencies] = {}
        self._soft: dict[str, tuple[tuple[Candidate, ...], tuple[Candidate, ...]]] = {}

    def lookup(self, name: str) -> tuple[Candidate, ...]:
        """Return the modules that ``name`` (a module's name, an alias, a modalias) stands for.

        The first place that knows it decides: alias rules, modules.dep, modules.symbols, install
        and remove rules, modules.alias, modules.builtin, modules.builtin.alias.
        """
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._look_up(name)
        return found

    def _look_up(self, name: str) -> tuple[Candidate, ...]:
        alias = normalize_alias(name)
        if alias is None:
            return ()
        return (
            self._from_alias_rules(alias)
            or self._from_dependencies(alias)
            or self._from_symbols(alias)
            or self._from_commands(alias)
            or self._from_index("modules.alias", alias, self.indexes.aliases(alias))
            or self._from_builtin(alias)
            or self._from_index("modules.builtin.alias", alias, self.indexes.builtin_aliases(alias))
        )

    def candidate_of_file(self, path: str) -> Candidate:
        """Return the module in the file ``path``, which need not be in the tree."""
        whole = os.path.abspath(path)
        candidate = self._candidate(module_name(path), "", Source(whole))
        self._paths[candidate] = whole
        return candidate

    def _candidate(self, module: str, alias: str, found_by: Source) -> Candidate:
        key = (module, alias)
        found = self._pool.get(key)
        if found is None:
            found = self._pool[key] = Candidate(module, alias, found_by)
        return found

    def _from_alias_rules(self, name: str) -> tuple[Candidate, ...]:
        rules = self._rules["alias"].matching(name)
        return tuple(self._candidate(rule.value, rule.name, rule.source) for rule in rules)

    def _from_dependencies(self, name: str) -> tuple[Candidate, ...]:
        if ":" in name or self.indexes.dependency_line(name) is None:
            return ()
        return (self._candidate(module_name(name), "", self._index_source("modules.dep")),)

    def _from_symbols(self, name: str) -> tuple[Candidate, ...]:
        if not name.startswith("symbol:"):
            return ()
        return self._from_index("modules.symbols", name, self.indexes.symbols(name))

    def _from_commands(self, name: str) -> tuple[Candidate, ...]:
        for kind in ("install", "remove"):
            rule = self._rules[kind].named(name)
            if rule:
                candidate = self._candidate(module_name(name), "", rule.source)
                self._commands[kind, candidate] = rule
                return (candidate,)
        return ()

    def _from_index(self, index: str, alias: str, names: tuple[str, ...]) -> tuple[Candidate, ...]:
        source = self._index_source(index)
        return tuple(self._candidate(name, alias, source) for name in names)

    def _from_builtin(self, name: str) -> tuple[Candidate, ...]:
        if not self.indexes.is_builtin(name):
            return ()
        return (self._candidate(module_name(name), "", self._index_source("modules.builtin")),)

    def _index_source(self, name: str) -> Source:
        return Source(f"{self.directory}/{name}.bin")

    # What is configured for a module

    def blacklist_rule(self, module: str) -> Rule | None:
        """Return the rule that blacklists ``module``."""
        return self._blacklist.get(module)

    def rules(self, kind: str, module: str) -> list[Rule]:
        """Return the install, remove, softdep or weakdep rules for ``module``; the first counts."""
        return self._rules[kind].matching(module)

    def option_rules(self, module: str, alias: str = "") -> list[Rule]:
        """Return the options rules for ``module``, or for the alias it was found by, in order."""
        found = self._options.get(module, [])
        if alias and alias != module:
            found = sorted(found + self._options.get(alias, []), key=lambda item: item[0])
        return [rule for _, rule in found]

    def command_rule(self, kind: str, candidate: Candidate) -> Rule | None:
        """Return the ``install`` or ``remove`` rule that takes the place of loading, unloading.

        That is the rule the module was found by, whether or not its pattern matches its own name.
        """
        found_by = self._commands.get((kind, candidate))
        return found_by or self._rules[kind].first(candidate.module)

    def soft_dependencies(self, module: str) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
        """Return the modules of the first softdep rule of ``module``: before it, after it."""
        found = self._soft.get(module)
        if found is None:
            rule = self._rules["softdep"].first(module)
            pre, post = softdeps(rule.value) if rule else ((), ())
            found = self._soft[module] = (self._all_of(pre), self._all_of(post))
        return found

    def weak_dependencies(self, module: str) -> tuple[Candidate, ...]:
        """Return the modules of the first weakdep rule of ``module``.

        They are for what builds an initramfs; nothing loads them.
        """
        rule = self._rules["weakdep"].first(module)
        return self._all_of(tuple(rule.value.split())) if rule else ()

    def _all_of(self, names: tuple[str, ...]) -> tuple[Candidate, ...]:
        return tuple(candidate for name in names for candidate in self.lookup(name))

    def is_builtin(self, candidate: Candidate) -> bool:
        """Whether the module is part of the kernel image."""
        if os.path.basename(candidate.found_by.path).startswith("modules.builtin"):
            return True
        return self.indexes.is_builtin(candidate.module)

    # Files

    def of_module(self, module: str) -> Candidate:
        """Return the candidate of a module found by its own name."""
        return self._candidate(module, "", self._index_source("modules.dep"))

    def path_of(self, candidate: Candidate) -> str:
        """Return the module's file, empty when it has none."""
        if candidate not in self._paths:
            self.needs(candidate)
        return self._paths.get(candidate, "")

    def dependencies(self, candidate: Candidate) -> tuple[Candidate, ...]:
        """Return the modules it needs, in the order they must be loaded."""
        return self.needs(candidate).modules

    def needs(self, candidate: Candidate) -> Dependencies:
        """Return what modules.dep says a module needs."""
        found = self._needed.get(candidate)
        if found is None:
            found = self._needed[candidate] = self._read_line(candidate)
        return found

    def _read_line(self, candidate: Candidate) -> Dependencies:
        module = candidate.module
        own, colon, rest = (self.indexes.dependency_line(module) or "").partition(":")
        if not colon:
            return Dependencies()
        self._paths.setdefault(candidate, self._inside(own))
        words = [word for word in rest.replace("\t", " ").split(" ") if word]
        modules = []
        paths: dict[Candidate, str] = {}
        for word in words:
            file = self._inside(word)
            needed = self.of_module(module_name(word))
            if not os.path.exists(file):
                return Dependencies(problem=f"{module}: its dependency {file} does not exist")
            known = self._paths.get(needed) or paths.get(needed, file)
            if known != file:
                return Dependencies(
                    problem=f"{module}: modules.dep has two files for {needed.module}, "
                    f"which it needs: {known} and {file}"
                )
            paths[needed] = file
            modules.append(needed)
        self._paths |= paths
        outside = [word for word in (own, *words) if ".." in word.split("/")]
        problem = ""
        if outside:
            problem = f"{module}: modules.dep names a file outside the tree: {outside[0]}"
        return Dependencies(tuple(reversed(modules)), problem)

    def _inside(self, path: str) -> str:
        return path if path.startswith("/") else f"{self.directory}/{path}"
