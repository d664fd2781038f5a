"""A key made, a module signed with it, and what kernels of several policies answer.

The key is in this process's memory only; it is never written anywhere.
Source: ``include/linux/module_signature.h``, ``kernel/module/signing.c: module_sig_check``.
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lkm.doctor import load_way
from lkm.doctor.finding import name_of
from lkm.errors import KernelError, UsageError
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.kernels.known import KnownKernel
from lkm.module import signature
from lkm.operations.trial import events
from lkm.operations.trial.instruments import machine_of
from lkm.operations.trial.run import LOCKDOWN, SIG_ENFORCE
from lkm.operations.trust.verify import builtin_keyring
from lkm.signing import keys, sign, verify
from lkm.signing.keyring import Keyring, TrustedKey
from lkm.signing.keys import KeyPair
from lkm.signing.sign import KeySigner
from lkm.signing.verify import Enforcement

POLICIES = ("none", "sig_enforce", "lockdown", "both")
"""How strict a kernel is; under ``both`` the signature is asked for first."""
_ENFORCEMENTS = {
    "none": Enforcement.NONE,
    "sig_enforce": Enforcement.SIGNATURES,
    "lockdown": Enforcement.LOCKDOWN,
    "both": Enforcement.SIGNATURES,
}
_KEY_NAME = "made for this page"
_DIGEST = "sha256"
_TRAILER = struct.Struct(">BBBBB3xI")
_HEAD, _TAIL = 64, 96


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
class SigningQuestion:
    """What to sign: the module's name and bytes, the files it needs before, the bit to flip.

    ``distribution`` is a module as the kernel's maker signed it, for where ``data`` is not.
    """

    name: str
    data: bytes
    distribution: bytes
    before: tuple[str, ...] = ()
    flip: int | None = None


SigningEvent = events.Event | KeyMade | Signed | Verified | Flipped | Answered
Emit = Callable[[SigningEvent], None]


def show_signing(question: SigningQuestion, known: KnownKernel, emit: Emit) -> None:
    """Make a key, sign the module, change it, and ask a kernel under each policy for each."""
    started = time.monotonic()
    pair, seconds = _new_key()
    emit(_key_made(pair, seconds))
    unsigned = signature.strip(question.data)
    signed = sign.signed(unsigned, KeySigner(pair.private_key, pair.certificate, _DIGEST))
    emit(_signed(question.name, unsigned, signed))
    flipped, change = _flipped(signed, len(unsigned), question.flip)
    emit(change)
    variants = {"unsigned": unsigned, "own-key": signed, "own-key-flipped": flipped}
    theirs = question.data if len(unsigned) != len(question.data) else question.distribution
    variants["distribution"] = theirs
    variants["distribution-flipped"], _ = _flipped(theirs, len(signature.strip(theirs)), None)
    trusted = builtin_keyring(known.vmlinuz or "")
    own = Keyring([TrustedKey(pair.certificate, "the key that was made")])
    for what, data in variants.items():
        emit(_verified(what, data, trusted))
    emit(_verified("own-key, its certificate trusted", signed, own))
    where = f"emulated:{known.release}"
    emit(events.KernelChosen(where, "its own keys are those it trusts", str(known.vmlinuz)))
    for answered in _answers(variants, question, known, trusted):
        emit(answered)
    emit(events.Finished((), time.monotonic() - started))


def _new_key() -> tuple[KeyPair, float]:
    started = time.monotonic()
    pair = keys.generate(_KEY_NAME, days=1)
    return pair, time.monotonic() - started


def _key_made(pair: KeyPair, seconds: float) -> KeyMade:
    found = pair.certificate
    return KeyMade(
        name=found.name,
        subject=found.name,
        serial=found.serial.hex(),
        key_id=found.key_id.hex(),
        fingerprint=hashlib.sha256(found.encoded).hexdigest(),
        algorithm=found.algorithm,
        not_after=found.not_after.isoformat(),
        certificate=found.encoded.hex(),
        seconds=seconds,
    )


def _signed(name: str, unsigned: bytes, signed: bytes) -> Signed:
    found = signature.read(signed)
    assert found is not None
    at_trailer = len(signed) - len(signature.MARKER) - _TRAILER.size
    algo, digest, kind, signer, key_id, size = _TRAILER.unpack_from(signed, at_trailer)
    content, blob = len(unsigned), len(found.blob)
    return Signed(
        module=name,
        content_length=content,
        digest_algorithm=_DIGEST,
        digest=hashlib.new(_DIGEST, unsigned).hexdigest(),
        blob_length=blob,
        trailer=Trailer(algo, digest, kind, signer, key_id, size, signature.MARKER.decode()),
        head=signed[:_HEAD].hex(),
        tail=signed[-_TAIL:].hex(),
        parts=(
            Part("module", 0, content),
            Part("signature (PKCS#7)", content, blob),
            Part("struct module_signature", at_trailer, _TRAILER.size),
            Part("marker", at_trailer + _TRAILER.size, len(signature.MARKER)),
        ),
    )


def _flipped(signed: bytes, length: int, wanted: int | None) -> tuple[bytes, Flipped]:
    """Return the module with one bit of its content turned, by default one in the middle."""
    offset, bit = divmod(length // 2 * 8 if wanted is None else wanted, 8)
    if offset >= length:
        raise UsageError(f"bit {wanted}: the signed content has {length * 8} bits")
    changed = bytearray(signed)
    changed[offset] ^= 1 << bit
    return bytes(changed), Flipped(offset, bit, signed[offset], changed[offset])


def _verified(what: str, data: bytes, ring: Keyring) -> Verified:
    found = verify.verify(data, ring)
    return Verified(
        what, found.verdict.value, found.reason, found.signer, found.key_id, found.trusted_by
    )


def _answers(
    variants: dict[str, bytes], question: SigningQuestion, known: KnownKernel, trusted: Keyring
) -> Iterator[Answered]:
    with open_kernel(f"emulated:{known.release}") as kernel:
        machine = machine_of(kernel)
        stages: list[str] = []
        way = machine.watch_way(load_way.POINTS, stages.append, lambda _: None)
        try:
            for policy in POLICIES:
                for what, data in variants.items():
                    machine.rewind()
                    for path in question.before:
                        kernel.load(path)
                    _set_policy(kernel, policy)
                    stages.clear()
                    yield _answered(kernel, what, policy, data, trusted, stages)
        finally:
            way.end()


def _set_policy(kernel: Kernel, policy: str) -> None:
    if policy in ("sig_enforce", "both"):
        kernel.write_file(SIG_ENFORCE, "1")
    if policy in ("lockdown", "both"):
        kernel.write_file(LOCKDOWN, "integrity")


def _answered(  # noqa: PLR0917 - what one row of the table is made of
    kernel: Kernel, what: str, policy: str, data: bytes, trusted: Keyring, stages: list[str]
) -> Answered:
    foretold = verify.answer(verify.verify(data, trusted).verdict, _ENFORCEMENTS[policy])
    errno, taints, stage = 0, "", ""
    with kernel.watch_log() as watch:
        try:
            taints = kernel.load(data).taints
        except KernelError as error:
            errno = error.errno
            point = load_way.last_point(list(dict.fromkeys(stages)))
            stage = point.function if point else ""
            log = error.log
        else:
            log = tuple(record.text for record in watch.new_records())
    return Answered(
        what=what,
        policy=policy,
        loads=not errno,
        errno=errno,
        errno_name=name_of(errno),
        log=tuple(log),
        taints=taints,
        stage=stage,
        predicted=Expected(foretold.errno, foretold.log, foretold.taints),
    )
