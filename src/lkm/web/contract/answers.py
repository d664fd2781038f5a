"""What the server answers where nothing is run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PageProblem:
    """Why a request was refused, and what to do."""

    error: str
    hint: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class KernelHere:
    """A kernel of this machine or its cache, what of it is here, whether it is taken by default."""

    release: str
    bootable: bool
    headers: bool
    modules: bool
    default: bool


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What one run may take; ``memory``, ``output`` and ``body`` in bytes."""

    runs: int
    seconds: float
    processor_seconds: float
    memory: int
    output: int
    body: int


@dataclass(frozen=True, slots=True)
class PageState:
    """What is here; each hint is the line that brings what is missing."""

    version: str
    running: str
    kernels: tuple[KernelHere, ...]
    emulated: bool
    emulated_hint: str
    playground: bool
    playground_hint: str
    secure_boot: bool
    secure_boot_hint: str
    live: bool
    landlock: int
    limits: RunLimits
    fetch: str


@dataclass(frozen=True, slots=True)
class SuggestedAction:
    """An action to offer with an example."""

    kind: str
    target: str
    value: str


@dataclass(frozen=True, slots=True)
class Example:
    """A module of ours, as source; parameters and actions worth a try."""

    name: str
    title: str
    source: str
    parameters: tuple[str, ...]
    actions: tuple[SuggestedAction, ...]


@dataclass(frozen=True, slots=True)
class Examples:
    """What the playground starts from."""

    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class GateOnTheWay:
    """One of the doctor's gates, in load_module's order, and the kernel's functions for it."""

    name: str
    what: str
    functions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A failure that can be made; ``command`` is what does the same to a file of one's own."""

    name: str
    title: str
    what: str
    command: str


@dataclass(frozen=True, slots=True)
class Way:
    """The gates, and the failures to choose from."""

    gates: tuple[GateOnTheWay, ...]
    failures: tuple[KnownFailure, ...]


@dataclass(frozen=True, slots=True)
class TaintFlagShown:
    """A taint flag; ``how`` it is caused here, empty where it is not (``causable`` false)."""

    bit: int
    letter: str
    meaning: str
    cause: str
    causable: bool
    how: str


@dataclass(frozen=True, slots=True)
class Taint:
    """All flags, lowest bit first."""

    flags: tuple[TaintFlagShown, ...]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A taint value: number, letters, and as the kernel's log has it; ``read`` says from what."""

    value: int
    letters: str
    line: str
    flags: tuple[TaintFlagShown, ...]
    read: str
    command: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The action was handed to the run."""

    accepted: bool


@dataclass(frozen=True, slots=True)
class RecordingHead:
    """One recording: ``path`` of what was asked with GET, else none; the day it was ``made``."""

    name: str
    view: str
    choice: str
    path: str
    title: str
    kernel: str
    made: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RecordingIndex:
    """All recorded runs."""

    recordings: tuple[RecordingHead, ...]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """What one would ask a server for the same."""

    method: str
    path: str
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded answer, or the events of a recorded run; the other is ``None`` or empty."""

    head: RecordingHead
    request: RecordedRequest
    answer: Any = None
    events: tuple[dict[str, Any], ...] = ()
