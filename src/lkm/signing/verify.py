"""Whether a kernel that trusts given keys takes a module's signature, and what it would answer.

Source: ``kernel/module/signing.c: module_sig_check``, ``crypto/asymmetric_keys/pkcs7_verify.c:
pkcs7_verify``, ``pkcs7_trust.c: pkcs7_validate_trust``. Certificates inside a message, which
``sign-file`` never puts there, must fit the signature, but are not followed as a chain.
"""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from lkm.errors import FormatError
from lkm.module import signature
from lkm.signing import publickey

if TYPE_CHECKING:
    from lkm.signing import pkcs7
    from lkm.signing.keyring import Keyring
    from lkm.signing.pkcs7 import SignerInfo


class SignatureVerdict(Enum):
    """The kernel's verdict on a signature; the value is the word used in JSON."""

    VALID = "valid"
    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown-key"
    UNSUPPORTED = "unsupported"
    TAMPERED = "tampered"
    WRONG_OPTIONS = "wrong-options"
    MALFORMED = "malformed"
    OVERSIZED = "oversized"


class Enforcement(Enum):
    """How strict a kernel is; ``SIGNATURES`` is ``sig_enforce``, which Secure Boot sets too."""

    NONE = "none"
    SIGNATURES = "sig_enforce"
    LOCKDOWN = "lockdown"


@dataclass(frozen=True, slots=True)
class Verification:
    """The verdict on one module.

    ``signer`` is the issuer's name, ``serial`` and ``key_id`` hex (one is empty), ``trusted_by``
    where the key is from, ``reason`` a sentence for every verdict but ``VALID``.
    """

    path: str
    verdict: SignatureVerdict
    reason: str = ""
    signer: str = ""
    serial: str = ""
    key_id: str = ""
    digest: str = ""
    key_algorithm: str = ""
    trusted_by: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The kernel's answer to a load: errno (0: loads), log line, whether taint E is set.

    In ``log``, ``<comm>`` stands for the loading task's name.
    """

    errno: int
    log: str = ""
    taints: bool = False


_SOFT = {
    SignatureVerdict.UNSIGNED: "unsigned module",
    SignatureVerdict.UNSUPPORTED: "module with unsupported crypto",
    SignatureVerdict.UNKNOWN_KEY: "module with unavailable key",
}
_FATAL = {
    SignatureVerdict.TAMPERED: errno.EKEYREJECTED,
    SignatureVerdict.WRONG_OPTIONS: errno.EKEYREJECTED,
    SignatureVerdict.MALFORMED: errno.EBADMSG,
    SignatureVerdict.OVERSIZED: errno.EMSGSIZE,
}
# lib/asn1_decoder.c: asn1_ber_decoder
_LARGEST_MESSAGE = 65535
_LOCKDOWN = "Lockdown: <comm>: unsigned module loading is restricted; see man kernel_lockdown.7"


def answer(verdict: SignatureVerdict, enforcement: Enforcement) -> Answer:
    """Return what a kernel under ``enforcement`` answers to a module of this ``verdict``.

    An unsigned or unknown signature is refused only when enforced; any other fault is fatal
    always, and most leave no line in the log.
    """
    if verdict is SignatureVerdict.VALID:
        return Answer(0)
    if verdict in _FATAL:
        return Answer(_FATAL[verdict])
    if enforcement is Enforcement.SIGNATURES:
        return Answer(errno.EKEYREJECTED, f"Loading of {_SOFT[verdict]} is rejected")
    if enforcement is Enforcement.LOCKDOWN:
        return Answer(errno.EPERM, _LOCKDOWN)
    return Answer(0, taints=True)


def verify(data: bytes, keyring: Keyring, path: str = "") -> Verification:
    """Return the verdict on the module ``data`` (uncompressed) of a kernel trusting ``keyring``.

    Damaged signatures are a verdict (``MALFORMED``), not an error.
    """
    try:
        appended = signature.read(data, path)
        if appended is None:
            return Verification(path, SignatureVerdict.UNSIGNED, "no signature is appended")
        if not appended.is_pkcs7:
            reason = f"signature type {appended.id_type} is not PKCS#7 (ENOPKG)"
            return Verification(path, SignatureVerdict.UNSUPPORTED, reason)
        if not appended.is_clean:
            reason = "the trailer has non-zero fields where PKCS#7 leaves zeros"
            return Verification(path, SignatureVerdict.MALFORMED, reason)
        if len(appended.blob) > _LARGEST_MESSAGE:
            reason = f"the message has {len(appended.blob)} bytes, over {_LARGEST_MESSAGE}"
            return Verification(path, SignatureVerdict.OVERSIZED, reason)
        from lkm.signing import pkcs7  # loads cryptography, for modules that are signed

        message = pkcs7.parse(appended.blob, path)
    except FormatError as error:
        reason = f"expected {error.expected}, found {error.found}"
        return Verification(path, SignatureVerdict.MALFORMED, reason)
    fault = _fault(message)
    if fault:
        return _about(message, path, *fault)
    content = memoryview(data)[: appended.content_length]
    return _trust(message, content, keyring, path)


def _fault(message: pkcs7.SignedData) -> tuple[SignatureVerdict, str] | None:
    """Return what the kernel refuses before it looks at any key."""
    if message.has_content:
        return SignatureVerdict.MALFORMED, "the data is inside the message, not detached"
    if not message.is_data:
        return (
            SignatureVerdict.WRONG_OPTIONS,
            f"content type {message.content_type} is not pkcs7-data",
        )
    if any(signer.has_attributes for signer in message.signers):
        return (
            SignatureVerdict.WRONG_OPTIONS,
            "signed attributes are present (sign without: openssl cms -noattr)",
        )
    return None


def _about(
    message: pkcs7.SignedData, path: str, verdict: SignatureVerdict, reason: str = ""
) -> Verification:
    if not message.signers:
        return Verification(path, verdict, reason)
    return _described(message.signers[0], path, verdict, reason)


def _described(
    signer: SignerInfo, path: str, verdict: SignatureVerdict, reason: str = "", source: str = ""
) -> Verification:
    return Verification(
        path,
        verdict,
        reason,
        signer.issuer_name,
        signer.serial.hex(),
        signer.key_id.hex(),
        signer.digest,
        signer.key_algorithm,
        source,
    )


def _trust(
    message: pkcs7.SignedData, content: memoryview, keyring: Keyring, path: str
) -> Verification:
    """Try the signers in turn: a trusted one decides, an unknown one leaves it to the next."""
    from lkm.signing.keyring import from_encoded  # loads cryptography, as above

    inside = from_encoded(message.certificates, "the message")
    result = Verification(path, SignatureVerdict.UNSUPPORTED, "the message has no signer (ENOPKG)")
    for signer in message.signers:
        found = _judge(signer, content, inside, path)
        if found.verdict in (SignatureVerdict.VALID, SignatureVerdict.UNKNOWN_KEY):
            # A certificate inside decides only that the signature fits it, not whether to trust.
            found = _judge(signer, content, keyring, path)
        if found.verdict in (SignatureVerdict.VALID, SignatureVerdict.TAMPERED):
            return found
        if result.verdict is SignatureVerdict.UNSUPPORTED:
            result = found
    return result


def _judge(signer: SignerInfo, content: memoryview, keyring: Keyring, path: str) -> Verification:
    if signer.unsupported:
        return _described(signer, path, SignatureVerdict.UNSUPPORTED, signer.unsupported)
    key = keyring.find(signer)
    if key is None:
        return _described(
            signer, path, SignatureVerdict.UNKNOWN_KEY, "no trusted key made this signature"
        )
    public = keyring.public_key(key)
    if public is None:
        reason = f"a {key.certificate.algorithm} key cannot be checked here"
        return _described(signer, path, SignatureVerdict.UNSUPPORTED, reason, key.source)
    digest = hashlib.new(signer.digest, content).digest()
    if publickey.matches(public, signer.signature, digest, signer.digest):
        return _described(signer, path, SignatureVerdict.VALID, source=key.source)
    reason = "the content was changed after signing (stripped, patched or damaged)"
    return _described(signer, path, SignatureVerdict.TAMPERED, reason, key.source)
