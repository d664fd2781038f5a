"""From a module's name or alias to a plan, step by step as kmod decides.

Source: kmod's ``libkmod/libkmod-module.c`` (``kmod_module_new_from_lookup``,
``__kmod_module_get_probe_list``, ``kmod_module_probe_insert_module``) and
``libkmod/libkmod.c`` (the look-ups).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

from lkm.tree.config import Config, Rule, read_config, softdeps
from lkm.tree.config_files import Source
from lkm.tree.indexes import Indexes
from lkm.tree.names import module_name, normalize_alias
from lkm.tree.patterns import PatternTable
from lkm.tree.plan import Plan, Reason, Step, StepKind, Target
from lkm.tree.root import Root

Loaded = Callable[[str], bool]
"""Says whether a module is live in the kernel that the plan is for."""


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


class Resolver:
    """Resolves names against one root's configuration and indexes, remembering what it found.

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
        self._paths: dict[str, str] = {}
        self._needed: dict[str, Dependencies] = {}
        self._soft: dict[str, tuple[tuple[Candidate, ...], tuple[Candidate, ...]]] = {}
        self._steps: dict[tuple[Candidate, Reason, str, bool, bool], Step] = {}

    # Look-ups

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
        module = module_name(path)
        self._paths[module] = whole
        return self._candidate(module, "", Source(whole))

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
                return (self._candidate(module_name(name), "", rule.source),)
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
        """Return the ``install`` or ``remove`` rule that takes the place of loading, unloading."""
        rules = self._rules[kind].matching(candidate.module)
        for rule in rules:
            if rule.source == candidate.found_by:
                return rule
        return rules[0] if rules else None

    def soft_dependencies(self, module: str) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
        """Return the modules of the first softdep rule of ``module``: before it, after it."""
        found = self._soft.get(module)
        if found is None:
            rule = self._rules["softdep"].first(module)
            pre, post = softdeps(rule.value) if rule else ((), ())
            found = self._soft[module] = (self._all_of(pre), self._all_of(post))
        return found

    def _all_of(self, names: tuple[str, ...]) -> tuple[Candidate, ...]:
        return tuple(candidate for name in names for candidate in self.lookup(name))

    def is_builtin(self, candidate: Candidate) -> bool:
        """Whether the module is part of the kernel image."""
        if os.path.basename(candidate.found_by.path).startswith("modules.builtin"):
            return True
        return self.indexes.is_builtin(candidate.module)

    # Files

    def path_of(self, module: str) -> str:
        """Return the module's file, empty when it has none."""
        if module not in self._paths:
            self.needs(module)
        return self._paths.get(module, "")

    def dependencies(self, module: str) -> tuple[Candidate, ...]:
        """Return the modules it needs, in the order they must be loaded."""
        return self.needs(module).modules

    def needs(self, module: str) -> Dependencies:
        """Return what modules.dep says ``module`` needs."""
        found = self._needed.get(module)
        if found is None:
            found = self._needed[module] = self._read_line(module)
        return found

    def _read_line(self, module: str) -> Dependencies:
        own, colon, rest = (self.indexes.dependency_line(module) or "").partition(":")
        if not colon:
            return Dependencies()
        self._paths.setdefault(module, self._inside(own))
        source = self._index_source("modules.dep")
        modules = []
        for word in reversed(rest.replace("\t", " ").split(" ")):
            if not word:
                continue
            file = self._inside(word)
            name = module_name(word)
            if not os.path.exists(file):
                return Dependencies(problem=f"{module}: its dependency {file} does not exist")
            if self._paths.setdefault(name, file) != file:
                return Dependencies(
                    problem=f"{module}: modules.dep has two files for its dependency {name}: "
                    f"{self._paths[name]} and {file}"
                )
            modules.append(self._candidate(name, "", source))
        outside = [word for word in (own, *rest.split()) if ".." in word.split("/")]
        problem = ""
        if outside:
            problem = f"{module}: modules.dep names a file outside the tree: {outside[0]}"
        return Dependencies(tuple(modules), problem)

    def _inside(self, path: str) -> str:
        return path if path.startswith("/") else f"{self.directory}/{path}"

    # Plans

    def resolve(
        self,
        name: str,
        options: str = "",
        *,
        ignore_commands: bool = False,
        use_blacklist: bool = False,
        loaded: Loaded | None = None,
    ) -> Plan:
        """Return what is to be done to load ``name``.

        ``options`` are added for the modules that ``name`` stands for, after the configured
        ones. ``ignore_commands`` passes over install commands and softdeps of those modules (not
        of their dependencies); ``use_blacklist`` honours the blacklist also where ``name`` is no
        alias; without ``loaded`` the plan is for a kernel with nothing loaded. A name beginning
        with ``/``, ``./`` or ``../`` is a file.
        """
        if name.startswith(("/", "./", "../")) and os.path.exists(name):
            candidates: tuple[Candidate, ...] = (self.candidate_of_file(name),)
        else:
            candidates = self.lookup(name)
        targets = []
        problems = []
        for candidate in candidates:
            steps = self._decided(candidate, use_blacklist, loaded)
            if steps is None:
                steps = self._probed(candidate, options, ignore_commands, loaded)
            targets.append(Target(candidate.module, candidate.alias, candidate.found_by, steps))
            if self.needs(candidate.module).problem:
                problems.append(self.needs(candidate.module).problem)
        problems += [str(problem) for problem in self.indexes.problems]
        return Plan(name, tuple(targets), tuple(problems))

    def _decided(
        self, candidate: Candidate, use_blacklist: bool, loaded: Loaded | None
    ) -> tuple[Step, ...] | None:
        """Return the one step of a module that is there already or blacklisted, else ``None``."""
        module = candidate.module
        if loaded and self.is_builtin(candidate):
            return (Step(StepKind.BUILTIN, module, source=candidate.found_by),)
        if loaded and loaded(module):
            return (Step(StepKind.ALREADY_LOADED, module, source=candidate.found_by),)
        rule = self._blacklist.get(module) if candidate.alias or use_blacklist else None
        if rule:
            return (Step(StepKind.BLACKLISTED, module, source=rule.source),)
        return None

    def _probed(
        self, asked: Candidate, options: str, ignore_commands: bool, loaded: Loaded | None
    ) -> tuple[Step, ...]:
        required = {asked, *self.dependencies(asked.module)}
        entries, without_command = self._probe_list(asked, ignore_commands)
        steps = []
        for candidate, reason, parent in entries:
            plain = candidate in without_command
            key = (candidate, reason, parent, plain, candidate in required)
            step = self._steps.get(key)
            if step is None:
                step = self._steps[key] = self._step(*key)
            if loaded:
                step = self._if_loaded(step, candidate, loaded)
            if options and candidate is asked and step.kind in _TAKES_OPTIONS:
                step = replace(step, options=step.options + options)
            steps.append(step)
        return tuple(steps)

    def _if_loaded(self, step: Step, candidate: Candidate, loaded: Loaded) -> Step:
        if step.reason is not Reason.DEPENDENCY and self.is_builtin(candidate):
            kind = StepKind.BUILTIN
        elif loaded(step.module):
            kind = StepKind.ALREADY_LOADED
        else:
            return step
        return replace(step, kind=kind, path="", options="", command="")

    def _probe_list(
        self, asked: Candidate, ignore_commands: bool
    ) -> tuple[list[_Entry], set[Candidate]]:
        """Return the modules in the order to load them, and those whose install command is void.

        As in kmod a module can be there twice: only softdeps and the one asked for are checked
        against what was visited.
        """
        visited: set[Candidate] = set()
        without_command: set[Candidate] = set()
        entries: list[_Entry] = []
        stack: list[tuple[_Do, _Entry]] = [(_Do.VISIT, (asked, Reason.REQUESTED, ""))]
        while stack:
            do, entry = stack.pop()
            candidate = entry[0]
            if do is _Do.APPEND:
                without_command.add(candidate)
                entries.append(entry)
            elif do is _Do.FILL:
                self._fill(entry, entries, stack)
            elif candidate not in visited:
                visited.add(candidate)
                last = _Do.APPEND if ignore_commands and candidate is asked else _Do.FILL
                stack.append((last, entry))
                stack += [
                    (_Do.FILL, (dependency, Reason.DEPENDENCY, candidate.module))
                    for dependency in reversed(self.dependencies(candidate.module))
                ]
        return entries, without_command

    def _fill(self, entry: _Entry, entries: list[_Entry], stack: list[tuple[_Do, _Entry]]) -> None:
        """Add a module, with the modules of its softdep rule before and after it."""
        module = entry[0].module
        pre, post = self.soft_dependencies(module)
        if not pre and not post:
            entries.append(entry)
            return
        stack += [(_Do.VISIT, (c, Reason.SOFTDEP_POST, module)) for c in reversed(post)]
        stack.append((_Do.APPEND, entry))
        stack += [(_Do.VISIT, (c, Reason.SOFTDEP_PRE, module)) for c in reversed(pre)]

    def _step(
        self, candidate: Candidate, reason: Reason, parent: str, plain: bool, required: bool
    ) -> Step:
        module = candidate.module
        source = candidate.found_by
        if reason in (Reason.SOFTDEP_PRE, Reason.SOFTDEP_POST):
            source = self._rules["softdep"].matching(parent)[0].source
        rules = self.option_rules(module, candidate.alias)
        configured = " ".join(rule.value for rule in rules)
        options = f"{configured} " if configured else ""
        step = Step(
            StepKind.MISSING, module, options=options, reason=reason, parent=parent,
            source=source, required=required,
        )  # fmt: skip
        install = None if plain else self.command_rule("install", candidate)
        if install:
            return replace(
                step, kind=StepKind.INSTALL, command=install.value, source=install.source
            )
        path = self.path_of(module)
        if path:
            return replace(step, kind=StepKind.INSMOD, path=path)
        if self.is_builtin(candidate):
            return replace(step, kind=StepKind.BUILTIN, options="")
        return step


_Entry = tuple[Candidate, Reason, str]
_TAKES_OPTIONS = frozenset({StepKind.INSMOD, StepKind.INSTALL})


class _Do(Enum):
    """What is still to be done with a module while a probe list is made."""

    VISIT = auto()
    FILL = auto()
    APPEND = auto()
