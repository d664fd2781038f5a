"""What a run tells beside the events of a trial (``lkm.operations``'s ``events``)."""

from __future__ import annotations

from dataclasses import dataclass

from lkm.operations.demonstration.signing_trial import Answered, Flipped, KeyMade, Signed, Verified
from lkm.operations.demonstration.taint_causes import TaintNow
from lkm.operations.demonstration.way import Agreed, Predicted, Stopped


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event: the run's id, its view, and the equal ``lkm`` command line."""

    id: str
    view: str
    command: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A message of the compiler; ``line`` and ``column`` count from 1, 0: not told."""

    file: str
    line: int
    column: int
    severity: str
    text: str


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run could not go on: the error's class, what to do, what a program printed."""

    kind: str
    text: str
    hint: str
    output: str
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event, always: ``code`` 0 and no ``why`` when all was told."""

    code: int
    why: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A kernel was fetched."""

    release: str


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A step of the Secure Boot rehearsal; ``link`` of the chain it is about."""

    what: str
    ok: bool
    said: tuple[str, ...]
    errno: int | None
    link: str


PageEvent = (
    RunStarted
    | RunFailed
    | Ended
    | Fetched
    | Predicted
    | Stopped
    | Agreed
    | KeyMade
    | Signed
    | Verified
    | Flipped
    | Answered
    | Rehearsed
    | TaintNow
)
