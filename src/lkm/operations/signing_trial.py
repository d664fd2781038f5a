"""A key made, a module signed with it, and what kernels of several policies answer."""

from __future__ import annotations

from dataclasses import dataclass


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
