"""The events of ``lkm try``, in the order in which they happen: one value an event."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from lkm.kernel.log import LogRecord
from lkm.operations.trial.observation import ObservedEntry, Registration
from lkm.operations.trial.source_lines import Place

Address = Annotated[int, "hexadecimal"]
"""An address or mask; JSON has it as a string, for readers that round above 2⁵³."""


class Phase(StrEnum):
    """The phase of a trial in which a log line was written."""

    DEPENDENCIES = "dependencies"
    LOAD = "load"
    USE = "use"
    UNLOAD = "unload"


@dataclass(frozen=True, slots=True)
class Progress:
    """A step that takes long; ``done`` of ``total`` bytes, both 0 where that is not known."""

    what: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class KernelChosen:
    """The kernel that is used, why this one, and where its image is."""

    kernel: str
    reason: str
    image: str


@dataclass(frozen=True, slots=True)
class Built:
    """The module was built from ``source``; ``seconds`` is 0 when nothing had changed.

    ``way`` says by what: kbuild, its Makefile, its dkms.conf. Of several the first are told with
    ``warnings``.
    """

    source: str
    module: str
    warnings: str
    seconds: float
    way: str = "kbuild"


@dataclass(frozen=True, slots=True)
class TurnBegun:
    """One of several modules that were built is tried: number ``number`` of ``total``."""

    module: str
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class KernelReady:
    """The kernel runs; ``how`` it came to, ``seconds`` it took."""

    release: str
    how: str
    seconds: float


@dataclass(frozen=True, slots=True)
class DependencyLoaded:
    """A module that was loaded first, and why; ``error`` is empty when the kernel took it."""

    module: str
    path: str
    reason: str
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The kernel took the module."""

    module: str
    path: str
    parameters: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The kernel refused something: ``operation``, the errno's name and text, or the signal.

    ``causes`` are what the kernel's own words mean, as far as they are known; ``advice`` says what
    to do, commands among it.
    """

    operation: str
    errno: int
    error: str
    signal: int
    causes: tuple[str, ...]
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Died:
    """The kernel panicked, hung or went away."""

    operation: str
    reason: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """An oops, BUG or warning in the log: what happened in words, and where."""

    words: str
    place: Place


@dataclass(frozen=True, slots=True)
class Logged:
    """A record of the kernel log."""

    phase: Phase
    record: LogRecord


@dataclass(frozen=True, slots=True)
class Stage:
    """The kernel came to one of its own functions on a module's way, the first time in ``phase``.

    ``gate`` is the doctor's name for what is checked there, empty where nothing is.
    """

    phase: Phase
    function: str
    meaning: str
    gate: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The module is loaded and what is to be done next is asked for, so many seconds at most."""

    seconds: float


@dataclass(frozen=True, slots=True)
class State:
    """The module's line of /proc/modules; ``size`` and ``freed`` (after init) in bytes."""

    module: str
    state: str
    size: int
    address: Address
    refcount: int | None
    holders: tuple[str, ...]
    freed: int


@dataclass(frozen=True, slots=True)
class ParameterShown:
    """A parameter: its type (empty: not told), permission bits, value (``None``: unreadable)."""

    name: str
    type: str
    permission: int | None
    value: str | None
    description: str


@dataclass(frozen=True, slots=True)
class Bound:
    """The symbols the module uses of one provider, sorted."""

    provider: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlacedSection:
    """A section where the kernel put it."""

    name: str
    address: Address
    size: int
    group: str


@dataclass(frozen=True, slots=True)
class PageRun:
    """Pages in a row with equal permissions, and the sections in them."""

    address: Address
    count: int
    permissions: str
    sections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A module's memory at a moment: ``linked``, ``protected`` (before init) or ``live``."""

    module: str
    moment: str
    sections: tuple[PlacedSection, ...]
    pages: tuple[PageRun, ...]


@dataclass(frozen=True, slots=True)
class Relocated:
    """A place the kernel's linker wrote to: bytes (hexadecimal) before and after."""

    section: str
    place: Address
    address: Address
    type: str
    symbol: str
    value: Address
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class FreedPages:
    """Pages in a row that were given back."""

    address: Address
    count: int


@dataclass(frozen=True, slots=True)
class MemoryFreed:
    """What went after init: pages that are no longer mapped as before."""

    pages: tuple[FreedPages, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class Tainted:
    """Taint flags that were set, as letters and in words."""

    letters: str
    meanings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Appeared:
    """The paths of /sys, /proc, /dev and the registrations that the load made."""

    entries: tuple[ObservedEntry, ...]
    registrations: tuple[Registration, ...]


@dataclass(frozen=True, slots=True)
class Acted:
    """An action on the loaded module (see ``Action``): what it gave, or the error."""

    action: str
    target: str
    value: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Unloaded:
    """The module is gone."""

    module: str
    seconds: float


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """The paths and registrations that outlive the module; none, if it cleaned up."""

    entries: tuple[ObservedEntry, ...]
    registrations: tuple[Registration, ...]


@dataclass(frozen=True, slots=True)
class Leaked:
    """Memory that was not given back: the allocation's number, by what, how large, called where."""

    number: int
    function: str
    size: int | None
    place: Place


@dataclass(frozen=True, slots=True)
class Faulted:
    """A wrong access to the module's memory (``overflow``, ``use-after-free``, …).

    ``offset`` counts from the start of the object of ``size`` bytes. ``place`` is the instruction,
    ``caller`` the call in the module when that is the kernel's. ``found_at_free``: only the damage
    was seen, when the object was freed.
    """

    kind: str
    access: str
    offset: int
    size: int | None
    place: Place
    caller: Place | None
    allocated: Place | None
    freed: Place | None
    found_at_free: bool


@dataclass(frozen=True, slots=True)
class Called:
    """A call of the module into the kernel; ``result`` is ``None`` where it has none."""

    number: int
    function: str
    arguments: str
    result: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Failed:
    """An allocation that was made to fail."""

    number: int
    function: str
    size: int | None
    place: Place


class Outcome(StrEnum):
    """How a module took a failed allocation."""

    CLEAN = "clean error"
    UNNOTICED = "it went on"
    LEAK = "leak"
    LEFT = "left things behind"
    CRASH = "crash"
    DIED = "the kernel died"


@dataclass(frozen=True, slots=True)
class FailureTried:
    """The result of failing one allocation; ``error`` is the load's, where it was refused."""

    failed: Failed
    outcome: Outcome
    error: str
    crash: Crashed | None
    leaks: tuple[Leaked, ...]
    left: tuple[ObservedEntry, ...]


class VerdictKind(StrEnum):
    """How a trial ended, the worst last."""

    GOOD = "good"
    PROBLEM = "problem"
    REFUSED = "refused"
    DIED = "died"


@dataclass(frozen=True, slots=True)
class TrialVerdict:
    """The first thing a person is told of a trial.

    ``cause`` and ``advice`` are empty, ``place`` is ``None``, where they are not known or where
    all is well. ``further`` counts the problems besides the one in the headline.
    """

    kind: VerdictKind
    headline: str
    cause: str = ""
    place: Place | None = None
    advice: tuple[str, ...] = ()
    further: int = 0


@dataclass(frozen=True, slots=True)
class RelatedPlace:
    """Another place that belongs to what was found, and what happened there."""

    what: str
    place: Place


@dataclass(frozen=True, slots=True)
class RuleBroken:
    """A rule of the kernel that the module broke; ``rule`` in short (``lock order``).

    ``words`` say what happened; ``place`` is the module's, empty where it is not known.
    """

    rule: str
    words: str
    place: Place
    related: tuple[RelatedPlace, ...] = ()


@dataclass(frozen=True, slots=True)
class ModulesCame:
    """Modules that the kernel loaded by itself meanwhile, for which the module is not to blame."""

    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotChecked:
    """What this trial could not have found, in words."""

    what: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The end: ``problems`` in words, none when all went well; ``seconds`` in all.

    ``verdict`` is what all that was told comes to, where it was a module that was tried.
    """

    problems: tuple[str, ...]
    seconds: float
    verdict: TrialVerdict | None = None


Event = (
    Progress
    | KernelChosen
    | Built
    | TurnBegun
    | KernelReady
    | DependencyLoaded
    | Loaded
    | Refused
    | Died
    | Crashed
    | Logged
    | Stage
    | Waiting
    | State
    | ParameterShown
    | Bound
    | LaidOut
    | Relocated
    | MemoryFreed
    | Tainted
    | Appeared
    | Acted
    | Unloaded
    | LeftBehind
    | Leaked
    | Faulted
    | Called
    | Failed
    | FailureTried
    | RuleBroken
    | ModulesCame
    | NotChecked
    | Finished
)
