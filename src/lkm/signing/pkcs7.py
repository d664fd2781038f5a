"""The PKCS#7 message of a module signature: read and written.

Source: RFC 5652 (CMS), ``crypto/asymmetric_keys/pkcs7.asn1``, ``pkcs7_parser.c``. The kernel takes
signedData over detached data, without signed attributes; the signer is named by issuer and serial
number (version 1) or by subject key identifier (version 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cryptography.hazmat import asn1

from lkm.errors import FormatError
from lkm.signing import der
from lkm.signing.der import Algorithm, Element, ObjectIdentifier

_SIGNED_DATA = ObjectIdentifier("1.2.840.113549.1.7.2")
_DATA = "1.2.840.113549.1.7.1"
_RSA = "1.2.840.113549.1.1.1"

# The names hashlib knows; what a given kernel can compute depends on its configuration.
DIGESTS = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "2.16.840.1.101.3.4.2.8": "sha3_256",
    "2.16.840.1.101.3.4.2.9": "sha3_384",
    "2.16.840.1.101.3.4.2.10": "sha3_512",
}
KEY_ALGORITHMS = {
    _RSA: "rsa",
    "1.2.840.10045.4.3.1": "ecdsa",
    "1.2.840.10045.4.3.2": "ecdsa",
    "1.2.840.10045.4.3.3": "ecdsa",
    "1.2.840.10045.4.3.4": "ecdsa",
}
_DIGEST_OIDS = {name: oid for oid, name in DIGESTS.items()}
_ECDSA_OIDS = {
    "sha224": "1.2.840.10045.4.3.1",
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}


@asn1.sequence
class _ContentInfo:
    type: ObjectIdentifier
    content: Annotated[Element, asn1.Explicit(0)]


@asn1.sequence
class _Issuer:
    name: Element
    serial: Element


@asn1.sequence
class _Signer:
    version: int
    identifier: _Issuer | Annotated[bytes, asn1.Implicit(0)]
    digest: Algorithm
    signed_attributes: Annotated[list[Element] | None, asn1.Implicit(0)]
    algorithm: Algorithm
    signature: bytes
    unsigned_attributes: Annotated[list[Element] | None, asn1.Implicit(1)]


@asn1.sequence
class _SignedData:
    version: int
    digests: asn1.SetOf[Algorithm]
    content: list[Element]
    certificates: Annotated[list[Element] | None, asn1.Implicit(0)]
    revocations: Annotated[list[Element] | None, asn1.Implicit(1)]
    signers: asn1.SetOf[_Signer]


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """One signer: who, with what, and the signature's bytes.

    ``issuer`` is the DER of the issuer's name (``issuer_name`` its common name) and ``serial`` the
    content octets of the serial number, all empty when the signer is named by ``key_id``, the
    subject key identifier.
    ``digest`` and ``key_algorithm`` are the names in ``DIGESTS`` and ``KEY_ALGORITHMS``, or a
    dotted OID that is in neither. ``has_attributes`` tells of signed attributes.
    """

    version: int
    issuer: bytes
    issuer_name: str
    serial: bytes
    key_id: bytes
    digest: str
    key_algorithm: str
    signature: bytes
    has_attributes: bool

    @property
    def unsupported(self) -> str:
        """Why this signature cannot be checked, empty if its algorithms are known."""
        if self.digest not in _DIGEST_OIDS:
            return f"digest algorithm {self.digest} is unknown"
        if self.key_algorithm not in KEY_ALGORITHMS.values():
            return f"signature algorithm {self.key_algorithm} is unknown"
        return ""


@dataclass(frozen=True, slots=True)
class SignedData:
    """A signedData message; ``has_content`` says whether the data is inside it (not detached).

    ``content_type`` is a dotted OID, ``certificates`` the DER of those it carries.
    """

    version: int
    content_type: str
    has_content: bool
    certificates: tuple[bytes, ...]
    signers: tuple[SignerInfo, ...]

    @property
    def is_data(self) -> bool:
        """Whether the content type is pkcs7-data, the one the kernel takes for modules."""
        return self.content_type == _DATA


def parse(blob: bytes, path: str = "") -> SignedData:
    """Return the PKCS#7 signedData message in ``blob``; raises ``FormatError``.

    Bytes after the message are refused, as in the kernel's decoder.
    """
    info = der.decode(_ContentInfo, blob, "the PKCS#7 message", path)
    if info.type != _SIGNED_DATA:
        found = f"content type {info.type.dotted_string}"
        raise FormatError("a PKCS#7 signedData message", found, path=path)
    data = der.decode(_SignedData, der.encode(info.content), "SignedData", path)
    return SignedData(
        data.version,
        der.algorithm_oid(data.content, "the content type", path),
        len(data.content) > 1,
        tuple(map(der.encode, data.certificates or ())),
        tuple(_signer_info(signer, path) for signer in data.signers.as_list()),
    )


def _signer_info(signer: _Signer, path: str) -> SignerInfo:
    issuer = serial = key_id = b""
    if isinstance(signer.identifier, bytes):
        key_id = signer.identifier
    else:
        issuer = der.encode(signer.identifier.name)
        serial = der.integer_octets(signer.identifier.serial, "the serial number", path)
    digest = der.algorithm_oid(signer.digest, "the digest algorithm", path)
    algorithm = der.algorithm_oid(signer.algorithm, "the signature algorithm", path)
    return SignerInfo(
        signer.version,
        issuer,
        der.decode_name(issuer, path),
        serial,
        key_id,
        DIGESTS.get(digest, digest),
        KEY_ALGORITHMS.get(algorithm, algorithm),
        signer.signature,
        signer.signed_attributes is not None,
    )


def build(issuer: bytes, serial: bytes, *, digest: str, key: str, signature: bytes) -> bytes:
    """Return the DER of a detached signedData message with one signer and no attributes.

    The same bytes as kbuild's ``scripts/sign-file`` writes: version 1, no certificates.
    ``issuer`` is the DER of a name, ``serial`` an INTEGER's content octets, ``digest`` and ``key``
    (``rsa`` or ``ecdsa``) names as in ``SignerInfo``.
    """
    number = der.encode(int.from_bytes(serial, "big", signed=True))
    digest_algorithm = [_oid(_DIGEST_OIDS[digest])]
    signer = _Signer(
        version=1,
        identifier=_Issuer(name=der.element(issuer), serial=der.element(number)),
        digest=digest_algorithm,
        signed_attributes=None,
        algorithm=_key_algorithm(key, digest),
        signature=signature,
        unsigned_attributes=None,
    )
    data = _SignedData(
        version=1,
        digests=asn1.SetOf([digest_algorithm]),
        content=[_oid(_DATA)],
        certificates=None,
        revocations=None,
        signers=asn1.SetOf([signer]),
    )
    return der.encode(_ContentInfo(type=_SIGNED_DATA, content=der.element(der.encode(data))))


def _key_algorithm(key: str, digest: str) -> Algorithm:
    if key == "rsa":
        return [_oid(_RSA), der.element(der.encode(asn1.Null()))]
    return [_oid(_ECDSA_OIDS[digest])]


def _oid(dotted: str) -> Element:
    return der.element(der.encode(ObjectIdentifier(dotted)))
