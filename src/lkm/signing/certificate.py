"""X.509 certificates, as the kernel and shim read them.

Source: RFC 5280, ``crypto/asymmetric_keys/x509.asn1``, ``x509_cert_parser.c``. Only what decides
trust is read; the certificate's own signature is not checked, as the kernel does not check it
for the keys it is built with or for a MOK.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cryptography.hazmat import asn1

from lkm.errors import FormatError
from lkm.signing import der
from lkm.signing.der import Algorithm, Element, ObjectIdentifier

CODE_SIGNING = "1.3.6.1.5.5.7.3.3"
MODULE_SIGNING_ONLY = "1.3.6.1.4.1.2312.16.1.2"

USAGE_NAMES = {
    CODE_SIGNING: "code signing",
    MODULE_SIGNING_ONLY: "kernel modules only",
    "1.3.6.1.4.1.311.10.3.6": "Windows system component verification",
    "1.3.6.1.5.5.7.3.1": "TLS server",
    "1.3.6.1.5.5.7.3.2": "TLS client",
    "1.3.6.1.5.5.7.3.4": "e-mail protection",
}
_KEY_USAGES = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
_CURVES = {
    "1.2.840.10045.3.1.7": "ec-p256",
    "1.3.132.0.34": "ec-p384",
    "1.3.132.0.35": "ec-p521",
    "1.3.132.0.10": "ec-secp256k1",
}
_RSA_KEY = "1.2.840.113549.1.1.1"
_EC_KEY = "1.2.840.10045.2.1"
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
# A file given as a certificate is read no further than this; real ones have one to four KiB.
_MOST_BYTES = 4 << 20


@asn1.sequence
class _Validity:
    not_before: asn1.UTCTime | asn1.GeneralizedTime
    not_after: asn1.UTCTime | asn1.GeneralizedTime


@asn1.sequence
class _Extension:
    type: ObjectIdentifier
    critical: bool | None
    value: bytes


@asn1.sequence
class _Body:
    version: Annotated[int | None, asn1.Explicit(0)]
    serial: Element
    algorithm: Algorithm
    issuer: Element
    validity: _Validity
    subject: Element
    public_key: Element
    issuer_id: Annotated[asn1.BitString | None, asn1.Implicit(1)]
    subject_id: Annotated[asn1.BitString | None, asn1.Implicit(2)]
    extensions: Annotated[list[_Extension] | None, asn1.Explicit(3)]


@asn1.sequence
class _Certificate:
    body: _Body
    algorithm: Algorithm
    signature: asn1.BitString


@asn1.sequence
class _PublicKey:
    algorithm: Algorithm
    key: asn1.BitString


@asn1.sequence
class _RsaKey:
    modulus: int
    exponent: int


@asn1.sequence
class _Constraints:
    authority: bool | None
    path_length: int | None


@asn1.sequence
class _ExtendedUsages:
    usages: list[ObjectIdentifier]


@dataclass(frozen=True, slots=True)
class Certificate:
    """An X.509 certificate's facts.

    ``encoded`` is its DER, ``issuer`` and ``subject`` the DER of names, ``serial`` the content
    octets of the serial number, ``key_id`` the subject key identifier (empty when it has none),
    ``public_key`` the DER SubjectPublicKeyInfo. ``key_usages`` and ``extended_usages`` are
    ``None`` when the certificate has no such extension, else the names of ``keyUsage`` bits and
    dotted OIDs. ``authority`` tells of ``CA:TRUE``.
    """

    encoded: bytes
    issuer: bytes
    subject: bytes
    serial: bytes
    not_before: datetime
    not_after: datetime
    public_key: bytes
    algorithm: str
    key_id: bytes = b""
    key_usages: tuple[str, ...] | None = None
    extended_usages: tuple[str, ...] | None = None
    authority: bool = False

    @property
    def name(self) -> str:
        """The subject's common name."""
        return der.decode_name(self.subject)

    @property
    def issuer_name(self) -> str:
        """The issuer's common name."""
        return der.decode_name(self.issuer)

    @property
    def sha1(self) -> str:
        """The SHA-1 fingerprint in hex, which mokutil and MokManager show."""
        return hashlib.sha1(self.encoded, usedforsecurity=False).hexdigest()

    @property
    def sha256(self) -> str:
        """The SHA-256 fingerprint in hex."""
        return hashlib.sha256(self.encoded).hexdigest()

    @property
    def may_sign_modules(self) -> bool:
        """Whether its usages allow what it is about to be used for; the kernel does not ask."""
        usages, extended = self.key_usages, self.extended_usages
        return (usages is None or "digitalSignature" in usages) and (
            extended is None or bool({CODE_SIGNING, MODULE_SIGNING_ONLY} & set(extended))
        )

    @property
    def may_sign_boot(self) -> bool:
        """Whether shim would take a boot loader or kernel signed with it once it is enrolled."""
        return MODULE_SIGNING_ONLY not in (self.extended_usages or ())

    def to_pem(self) -> bytes:
        """Return the certificate as PEM text."""
        body = base64.encodebytes(self.encoded).replace(b"\n", b"")
        lines = [body[i : i + 64] for i in range(0, len(body), 64)]
        return b"\n".join(
            [b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""]
        )


def load(path: str | os.PathLike[str]) -> Certificate:
    """Return the (first) certificate in the file ``path``, PEM or DER."""
    return load_all(path)[0]


def load_all(path: str | os.PathLike[str]) -> tuple[Certificate, ...]:
    """Return all certificates in the file ``path``: PEM blocks, or DER one after the other."""
    name = os.fspath(path)
    with Path(path).open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise _no_certificate(name, "a file of over 4 MiB")
    blocks = _PEM.findall(data)
    if blocks:
        return tuple(parse(_decode(block, name), name) for block in blocks)
    if data[:1] != b"\x30":
        kind = "a private key" if b"PRIVATE KEY-----" in data else "something else"
        raise _no_certificate(name, kind if data else "an empty file")
    return split(data, name)


def _no_certificate(path: str, found: str) -> FormatError:
    return FormatError(
        "a certificate (PEM or DER)",
        found,
        path=path,
        hint="lkm keys new makes a key with its certificate",
    )


def _decode(block: bytes, path: str) -> bytes:
    try:
        return base64.b64decode(b"".join(block.split()), validate=True)
    except binascii.Error as error:
        raise FormatError("base64 in a PEM certificate", str(error), path=path) from None


def split(data: bytes, path: str = "") -> tuple[Certificate, ...]:
    """Return the DER certificates that lie one after the other in ``data``."""
    found = []
    while data:
        size = der.first_size(data)
        found.append(parse(data[:size], path))
        data = data[size:]
    return tuple(found)


def parse(encoded: bytes, path: str = "") -> Certificate:
    """Return the facts of the DER certificate ``encoded``; raises ``FormatError``."""
    body = der.decode(_Certificate, encoded, "the certificate", path).body
    subject, issuer, public_key = map(der.encode, (body.subject, body.issuer, body.public_key))
    for name in (issuer, subject):
        der.decode_name(name, path)
    values = {e.type.dotted_string: e.value for e in body.extensions or ()}
    return Certificate(
        encoded,
        issuer,
        subject,
        der.integer_octets(body.serial, "the serial number", path),
        body.validity.not_before.as_datetime().replace(tzinfo=UTC),
        body.validity.not_after.as_datetime().replace(tzinfo=UTC),
        public_key,
        _key_algorithm(public_key, path),
        key_id=_key_id(values.get("2.5.29.14"), path),
        key_usages=_key_usages(values.get("2.5.29.15"), path),
        extended_usages=_extended_usages(values.get("2.5.29.37"), path),
        authority=_authority(values.get("2.5.29.19"), path),
    )


def _key_id(value: bytes | None, path: str) -> bytes:
    return der.decode(bytes, value, "the key identifier", path) if value else b""


def _key_usages(value: bytes | None, path: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    octets = der.decode(asn1.BitString, value, "the key usage", path).as_bytes()[:2]
    bits = int.from_bytes(octets.ljust(2, b"\0"), "big")
    return tuple(name for i, name in enumerate(_KEY_USAGES) if bits >> (15 - i) & 1)


def _extended_usages(value: bytes | None, path: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    usages = der.decode_wrapped(_ExtendedUsages, value, "the extended key usage", path).usages
    return tuple(usage.dotted_string for usage in usages)


def _authority(value: bytes | None, path: str) -> bool:
    if value is None:
        return False
    return bool(der.decode(_Constraints, value, "the basic constraints", path).authority)


def _key_algorithm(public_key: bytes, path: str) -> str:
    """Return ``rsa4096``, ``ec-p384`` …, or a dotted OID."""
    info = der.decode(_PublicKey, public_key, "the public key", path)
    kind = der.algorithm_oid(info.algorithm, "the key algorithm", path)
    if kind == _RSA_KEY:
        key = der.decode(_RsaKey, info.key.as_bytes(), "the RSA key", path)
        return f"rsa{key.modulus.bit_length()}"
    if kind == _EC_KEY and len(info.algorithm) > 1 and info.algorithm[1].tag_bytes == b"\x06":
        curve = der.algorithm_oid(info.algorithm[1:], "the curve", path)
        return _CURVES.get(curve, f"ec-{curve}")
    return kind
