"""What a run tells beside the events of a trial (``lkm.operations``'s ``events``)."""

from __future__ import annotations

from dataclasses import dataclass

from lkm.operations.try_events import Address


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
class Remedy:
    """What to do, in words and as commands to copy."""

    text: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the doctor says of the load beforehand; all empty where it says that it loads."""

    loads: bool
    gate: str
    errno: int
    errno_name: str
    message: str
    finding: str
    cause: str
    fixes: tuple[Remedy, ...]
    passed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """After a refused load: the last of the kernel's functions that it came to, and its gate."""

    function: str
    gate: str
    stages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreed:
    """Whether kernel and doctor named the same gate and error number."""

    predicted: str
    actual: str
    same: bool
    errno_same: bool


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
class KeyMade:
    """A signing key; the private half is in the run's own folder only. ``certificate`` is hex."""

    name: str
    subject: str
    serial: str
    key_id: str
    fingerprint: str
    algorithm: str
    not_after: str
    certificate: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Trailer:
    """The twelve bytes before the magic (``struct module_signature``), and the magic."""

    algo: int
    hash: int
    id_type: int
    signer_len: int
    key_id_len: int
    sig_len: int
    magic: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the signed file."""

    name: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Signed:
    """A module was signed; ``digest``, ``head`` and ``tail`` are hexadecimal."""

    module: str
    content_length: int
    digest_algorithm: str
    digest: str
    blob_length: int
    trailer: Trailer
    head: str
    tail: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """lkm's own verdict on ``what``, before any kernel is asked."""

    what: str
    verdict: str
    reason: str
    signer: str
    key_id: str
    trusted_by: str


@dataclass(frozen=True, slots=True)
class Flipped:
    """One bit of the signed content was turned: its byte's offset, before and after."""

    offset: int
    bit: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What ``lkm.signing`` foretells of a load."""

    errno: int
    log: str
    taints: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """What a kernel under ``policy`` said to ``what``; ``stage`` is where it stopped, if it did."""

    what: str
    policy: str
    loads: bool
    errno: int
    errno_name: str
    log: tuple[str, ...]
    taints: str
    stage: str
    predicted: Expected


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A step of the Secure Boot rehearsal; ``link`` of the chain it is about."""

    what: str
    ok: bool
    said: tuple[str, ...]
    errno: int | None
    link: str


@dataclass(frozen=True, slots=True)
class FlagCause:
    """A taint flag that is set: the loaded modules that carry it, the log lines that tell."""

    bit: int
    letter: str
    meaning: str
    modules: tuple[str, ...]
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaintNow:
    """The kernel's taint, as /proc/sys/kernel/tainted has it, and each flag's cause."""

    value: int
    letters: str
    causes: tuple[FlagCause, ...]
    file: str


PageEvent = (
    RunStarted
    | RunFailed
    | Ended
    | Fetched
    | Predicted
    | Stopped
    | Agreed
    | LaidOut
    | Relocated
    | MemoryFreed
    | KeyMade
    | Signed
    | Verified
    | Flipped
    | Answered
    | Rehearsed
    | TaintNow
)
