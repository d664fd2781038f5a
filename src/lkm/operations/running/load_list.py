"""Load what modules-load.d and the kernel command line name, as systemd does at boot.

Source: modules-load.d(5), systemd's ``src/modules-load``: the blacklist counts, and one module
that does not load keeps none of the others from it.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.module.names import normalize
from lkm.operations.running.load import LoadFailure, LoadOptions, carry_out, loaded_in
from lkm.tree.config import Rule, read_modules_load
from lkm.tree.plan import Plan, StepKind
from lkm.tree.resolver import Resolver
from lkm.tree.root import Root

_MOST_PROCESSES = 8


class Result(StrEnum):
    """The result of loading one name."""

    LOADED = "loaded"
    ALREADY_LOADED = "already loaded"
    BUILTIN = "built in"
    BLACKLISTED = "blacklisted"
    NOT_FOUND = "not found"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ListedLoad:
    """One configured name, the file and line it stands on, and what became of it."""

    name: str
    source: str
    result: Result
    failure: LoadFailure | None = None

    @property
    def ok(self) -> bool:
        """Whether the module is there now, or is not meant to be."""
        return self.result not in (Result.NOT_FOUND, Result.FAILED)


def configured(root: Root, kernel_command_line: str = "/proc/cmdline") -> tuple[Rule, ...]:
    """Return the rules that name modules, each name once."""
    first: dict[str, Rule] = {}
    for rule in read_modules_load(root, kernel_command_line):
        first.setdefault(normalize(rule.name), rule)
    return tuple(first.values())


def load_all(kernel: Kernel, rules: Sequence[Rule], tree: Root) -> Iterator[ListedLoad]:
    """Load every name and yield the results in the rules' order.

    ``tree`` is the root whose modules are meant. On the live kernel several are loaded at once; a
    dependency that two of them need is loaded by one while the kernel makes the other wait.
    """
    if not kernel.syscalls.shares_host_files:
        resolver = Resolver(tree)
        yield from (_load(kernel, rule, resolver) for rule in rules)
        return
    count = min(_MOST_PROCESSES, os.cpu_count() or 1, max(len(rules), 1))
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("fork")) as pool:
        yield from pool.map(_load_here, rules, [tree] * len(rules))


def _load_here(rule: Rule, tree: Root) -> ListedLoad:
    with open_kernel("live") as kernel:
        return _load(kernel, rule, Resolver(tree))


def _load(kernel: Kernel, rule: Rule, resolver: Resolver) -> ListedLoad:
    plan = resolver.resolve(rule.name, use_blacklist=True, loaded=loaded_in(kernel))
    source = str(rule.source)
    if not plan.targets:
        return ListedLoad(rule.name, source, Result.NOT_FOUND)
    decided = _decided(plan)
    if decided:
        return ListedLoad(rule.name, source, decided)
    failures = [failure for failure in carry_out(plan, kernel, LoadOptions()) if failure]
    if failures:
        return ListedLoad(rule.name, source, Result.FAILED, failures[0])
    return ListedLoad(rule.name, source, Result.LOADED)


_DECIDED = {
    StepKind.ALREADY_LOADED: Result.ALREADY_LOADED,
    StepKind.BUILTIN: Result.BUILTIN,
    StepKind.BLACKLISTED: Result.BLACKLISTED,
}


def _decided(plan: Plan) -> Result | None:
    """Return the result where no target has anything to be done."""
    kinds = {step.kind for step in plan.steps}
    return _DECIDED[min(kinds, key=list(_DECIDED).index)] if kinds <= _DECIDED.keys() else None
