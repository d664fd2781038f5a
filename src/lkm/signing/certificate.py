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

from lkm.errors import FormatError
from lkm.signing import der
from lkm.signing.pkcs7 import name_text

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
        return name_text(self.subject)

    @property
    def issuer_name(self) -> str:
        """The issuer's common name."""
        return name_text(self.issuer)

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
    reader = der.Reader(data, path)
    found = []
    while not reader.at_end:
        found.append(parse(reader.encoded(der.SEQUENCE, "certificate"), path))
    return tuple(found)


def parse(encoded: bytes, path: str = "") -> Certificate:
    """Return the facts of the DER certificate ``encoded``; raises ``FormatError``."""
    outer = der.Reader(encoded, path)
    certificate = outer.enter(der.SEQUENCE, "certificate")
    outer.finish("the certificate")
    body = certificate.enter(der.SEQUENCE, "TBSCertificate")
    body.skip(der.context(0), "version")
    serial = body.bytes_of(der.INTEGER, "serial number")
    body.bytes_of(der.SEQUENCE, "signature algorithm")
    issuer = body.encoded(der.SEQUENCE, "issuer")
    validity = body.enter(der.SEQUENCE, "validity")
    not_before, not_after = _time(validity, path), _time(validity, path)
    subject = body.encoded(der.SEQUENCE, "subject")
    public_key = body.encoded(der.SEQUENCE, "public key")
    for name in (issuer, subject):
        name_text(name)
    extensions = _extensions(body)
    return Certificate(
        encoded,
        issuer,
        subject,
        serial,
        not_before,
        not_after,
        public_key,
        _key_algorithm(public_key, path),
        key_id=_key_id(extensions, path),
        key_usages=_key_usages(extensions, path),
        extended_usages=_extended_usages(extensions, path),
        authority=_authority(extensions, path),
    )


def _time(validity: der.Reader, path: str) -> datetime:
    kind = validity.peek()
    text = validity.bytes_of(kind, "time").decode("ascii", "replace")
    # UTCTime has a two-digit year (RFC 5280, 4.1.2.5.1); the kernel reads just these two forms.
    form = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}.get(kind)
    try:
        if form is None:
            raise ValueError
        moment = datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        raise FormatError("UTCTime or GeneralizedTime", repr(text), path=path) from None
    if kind == 0x17 and moment.year >= 2050:
        return moment.replace(year=moment.year - 100)
    return moment


def _extensions(body: der.Reader) -> dict[str, bytes]:
    """Return the extensions' values (the octet strings' contents) by dotted OID."""
    body.skip(der.context(1), "issuer unique ID")
    body.skip(der.context(2), "subject unique ID")
    if body.at_end:
        return {}
    listed = body.enter(der.context(3), "extensions").enter(der.SEQUENCE, "extensions")
    found = {}
    while not listed.at_end:
        extension = listed.enter(der.SEQUENCE, "extension")
        kind = der.oid_text(extension.bytes_of(der.OID, "extension type"))
        extension.skip(0x01, "critical")
        found[kind] = extension.bytes_of(der.OCTET_STRING, "extension value")
    return found


def _key_id(extensions: dict[str, bytes], path: str) -> bytes:
    value = extensions.get("2.5.29.14")
    return der.Reader(value, path).bytes_of(der.OCTET_STRING, "key identifier") if value else b""


def _key_usages(extensions: dict[str, bytes], path: str) -> tuple[str, ...] | None:
    value = extensions.get("2.5.29.15")
    if value is None:
        return None
    octets = der.Reader(value, path).bytes_of(der.BIT_STRING, "key usage")[1:3]
    bits = int.from_bytes(octets.ljust(2, b"\0"), "big")
    return tuple(name for i, name in enumerate(_KEY_USAGES) if bits >> (15 - i) & 1)


def _extended_usages(extensions: dict[str, bytes], path: str) -> tuple[str, ...] | None:
    value = extensions.get("2.5.29.37")
    if value is None:
        return None
    listed = der.Reader(value, path).enter(der.SEQUENCE, "extended key usage")
    found = []
    while not listed.at_end:
        found.append(der.oid_text(listed.bytes_of(der.OID, "usage")))
    return tuple(found)


def _authority(extensions: dict[str, bytes], path: str) -> bool:
    value = extensions.get("2.5.29.19")
    if value is None:
        return False
    constraints = der.Reader(value, path).enter(der.SEQUENCE, "basic constraints")
    return constraints.peek() == 0x01 and constraints.bytes_of(0x01, "CA") != b"\0"


def _key_algorithm(public_key: bytes, path: str) -> str:
    """Return ``rsa4096``, ``ec-p384`` …, or a dotted OID."""
    info = der.Reader(public_key, path).enter(der.SEQUENCE, "public key")
    algorithm = info.enter(der.SEQUENCE, "key algorithm")
    kind = der.oid_text(algorithm.bytes_of(der.OID, "key algorithm"))
    if kind == _RSA_KEY:
        bits = info.bytes_of(der.BIT_STRING, "public key")[1:]
        modulus = der.Reader(bits, path).enter(der.SEQUENCE, "RSA key")
        number = int.from_bytes(modulus.bytes_of(der.INTEGER, "modulus"), "big")
        return f"rsa{number.bit_length()}"
    if kind == _EC_KEY and algorithm.peek() == der.OID:
        curve = der.oid_text(algorithm.bytes_of(der.OID, "curve"))
        return _CURVES.get(curve, f"ec-{curve}")
    return kind
