"""From a module's name or alias to a plan, step by step as kmod decides.

Source: kmod's ``libkmod/libkmod-module.c`` (``__kmod_module_get_probe_list``,
``kmod_module_probe_insert_module``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto

from lkm.tree.config import Config
from lkm.tree.indexes import Indexes
from lkm.tree.lookup import Candidate, Lookup
from lkm.tree.plan import Plan, PlanTarget, Reason, Step, StepKind
from lkm.tree.root import Root

Loaded = Callable[[str], bool]
"""Says whether a module is live in the kernel that the plan is for."""
_Entry = tuple[Candidate, Reason, str]
_TAKES_OPTIONS = frozenset({StepKind.INSMOD, StepKind.INSTALL})


class _Do(Enum):
    """The work left for a module while a probe list is made."""

    VISIT = auto()
    FILL = auto()
    APPEND = auto()


class Resolver(Lookup):
    """Resolves names against one root's configuration and indexes, remembering what it found.

    Make a new one when files may have changed.
    """

    def __init__(
        self, root: Root, config: Config | None = None, indexes: Indexes | None = None
    ) -> None:
        super().__init__(root, config, indexes)
        self._steps: dict[tuple[Candidate, Reason, str, bool, bool], Step] = {}

    def resolve(
        self,
        name: str,
        options: str = "",
        *,
        ignore_commands: bool = False,
        use_blacklist: bool = False,
        loaded: Loaded | None = None,
        files: bool = True,
    ) -> Plan:
        """Return what is to be done to load ``name``.

        ``options`` are added for the modules that ``name`` stands for, after the configured
        ones. ``ignore_commands`` passes over install commands and softdeps of those modules (not
        of their dependencies); ``use_blacklist`` honours the blacklist also where ``name`` is no
        alias; without ``loaded`` the plan is for a kernel with nothing loaded. A name beginning
        with ``/``, ``./`` or ``../`` is a file, unless ``files`` is false.
        """
        if files and name.startswith(("/", "./", "../")) and os.path.exists(name):
            candidates: tuple[Candidate, ...] = (self.candidate_of_file(name),)
        else:
            candidates = self.lookup(name)
        targets = []
        problems = []
        for candidate in candidates:
            steps = self._decided(candidate, use_blacklist, loaded)
            if steps is None:
                steps = self._probed(candidate, options, ignore_commands, loaded)
            targets.append(PlanTarget(candidate.module, candidate.alias, candidate.found_by, steps))
            if self.needs(candidate).problem:
                problems.append(self.needs(candidate).problem)
        problems += self.indexes.problems
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
        required = {asked, *self.dependencies(asked)}
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
                    for dependency in reversed(self.dependencies(candidate))
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
        path = self.path_of(candidate)
        if path:
            return replace(step, kind=StepKind.INSMOD, path=path)
        if self.is_builtin(candidate):
            return replace(step, kind=StepKind.BUILTIN, options="")
        return step
