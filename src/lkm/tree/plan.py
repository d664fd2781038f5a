"""A plan: what is to be done, in order, so that a module is loaded; and why each step is there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lkm.tree.config_files import Source


class StepKind(StrEnum):
    """The action of a step."""

    INSMOD = "insmod"
    BUILTIN = "builtin"
    INSTALL = "install"
    REMOVE = "remove"
    BLACKLISTED = "blacklisted"
    ALREADY_LOADED = "already_loaded"
    MISSING = "missing"


class Reason(StrEnum):
    """Why a module takes part."""

    REQUESTED = "requested"
    DEPENDENCY = "dependency"
    SOFTDEP_PRE = "softdep pre"
    SOFTDEP_POST = "softdep post"


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    ``options`` is the parameter string for the kernel, as modprobe prints it (a blank follows
    configured options). ``command`` is a shell command for INSTALL and REMOVE. ``parent`` is the
    module on whose behalf the module takes part, empty for the one asked for. ``source`` is the
    rule or index that decided. A failed step ends its target unless it is not ``required``.
    """

    kind: StepKind
    module: str
    path: str = ""
    options: str = ""
    command: str = ""
    reason: Reason = Reason.REQUESTED
    parent: str = ""
    source: Source | None = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class PlanTarget:
    """One module a name stood for (an alias may stand for several), and the steps to load it.

    ``found_by`` is where the name was found: the alias rule or an index.
    """

    module: str
    alias: str
    found_by: Source
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The resolution of ``name``; no targets when it is unknown.

    ``problems`` are oddities met on the way: damaged indexes, dependencies without a file.
    """

    name: str
    targets: tuple[PlanTarget, ...]
    problems: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all targets, in order."""
        return tuple(step for target in self.targets for step in target.steps)
