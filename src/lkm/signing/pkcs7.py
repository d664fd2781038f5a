"""The PKCS#7 message of a module signature: read and written.

Source: RFC 5652 (CMS), ``crypto/asymmetric_keys/pkcs7.asn1``, ``pkcs7_parser.c``. The kernel takes
signedData over detached data, without signed attributes; the signer is named by issuer and serial
number (version 1) or by subject key identifier (version 3).
"""

from __future__ import annotations

from dataclasses import dataclass

from lkm.errors import FormatError
from lkm.signing import der

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_DATA = "1.2.840.113549.1.7.1"
_RSA = "1.2.840.113549.1.1.1"
_COMMON_NAME = der.oid_bytes("2.5.4.3")

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

    Offsets in the error count from the start of ``blob``. Bytes after the message are refused, as
    in the kernel's decoder.
    """
    outer = der.Reader(blob, path)
    info = outer.enter(der.SEQUENCE, "ContentInfo")
    outer.finish("the PKCS#7 message")
    kind = der.oid_text(info.bytes_of(der.OID, "content type"))
    if kind != _SIGNED_DATA:
        raise FormatError("a PKCS#7 signedData message", f"content type {kind}", path=path)
    data = info.enter(der.context(0), "content").enter(der.SEQUENCE, "SignedData")
    return _signed_data(data)


def _signed_data(data: der.Reader) -> SignedData:
    version = _small(data, "version of SignedData")
    data.bytes_of(der.SET, "digest algorithms")
    content = data.enter(der.SEQUENCE, "encapsulated content")
    content_type = der.oid_text(content.bytes_of(der.OID, "content type"))
    certificates: list[bytes] = []
    if data.peek() == der.context(0):
        certificates = _elements(data.enter(der.context(0), "certificates"))
    data.skip(der.context(1), "revocation lists")
    signers = data.enter(der.SET, "signer infos")
    infos = []
    while not signers.at_end:
        infos.append(_signer_info(signers.enter(der.SEQUENCE, "SignerInfo")))
    data.finish("SignedData")
    return SignedData(version, content_type, not content.at_end, tuple(certificates), tuple(infos))


def _signer_info(info: der.Reader) -> SignerInfo:
    version = _small(info, "version of SignerInfo")
    issuer = serial = key_id = b""
    if info.peek() == der.context(0, constructed=False):
        key_id = info.bytes_of(der.context(0, constructed=False), "subject key identifier")
    else:
        who = info.enter(der.SEQUENCE, "issuer and serial number")
        issuer = who.encoded(der.SEQUENCE, "issuer")
        serial = who.bytes_of(der.INTEGER, "serial number")
    digest = _algorithm(info, "digest algorithm")
    has_attributes = info.skip(der.context(0), "signed attributes")
    algorithm = _algorithm(info, "signature algorithm")
    signature = info.bytes_of(der.OCTET_STRING, "signature")
    info.skip(der.context(1), "unsigned attributes")
    info.finish("SignerInfo")
    return SignerInfo(
        version,
        issuer,
        name_text(issuer),
        serial,
        key_id,
        DIGESTS.get(digest, digest),
        KEY_ALGORITHMS.get(algorithm, algorithm),
        signature,
        has_attributes,
    )


def _small(reader: der.Reader, what: str) -> int:
    return int.from_bytes(reader.bytes_of(der.INTEGER, what)[:8], "big")


def _algorithm(reader: der.Reader, what: str) -> str:
    return der.oid_text(reader.enter(der.SEQUENCE, what).bytes_of(der.OID, what))


def _elements(reader: der.Reader) -> list[bytes]:
    found = []
    while not reader.at_end:
        found.append(reader.encoded(reader.peek(), "element"))
    return found


def name_text(name: bytes) -> str:
    """Return the common name in the DER of an X.509 name, else its values joined by ``, ``."""
    if not name:
        return ""
    values: list[str] = []
    parts = der.Reader(name).enter(der.SEQUENCE, "name")
    while not parts.at_end:
        attribute = parts.enter(der.SET, "name part").enter(der.SEQUENCE, "attribute")
        kind = attribute.bytes_of(der.OID, "attribute type")
        text = attribute.bytes_of(attribute.peek(), "attribute value").decode("utf-8", "replace")
        if kind == _COMMON_NAME:
            return text
        values.append(text)
    return ", ".join(values)


def build(issuer: bytes, serial: bytes, *, digest: str, key: str, signature: bytes) -> bytes:
    """Return the DER of a detached signedData message with one signer and no attributes.

    The same bytes as kbuild's ``scripts/sign-file`` writes: version 1, no certificates.
    ``issuer`` is the DER of a name, ``serial`` an INTEGER's content octets, ``digest`` and ``key``
    (``rsa`` or ``ecdsa``) names as in ``SignerInfo``.
    """
    version = der.encode(der.INTEGER, b"\x01")
    digest_algorithm = der.encode(der.SEQUENCE, der.encode_oid(_DIGEST_OIDS[digest]))
    signer = der.encode(
        der.SEQUENCE,
        version,
        der.encode(der.SEQUENCE, issuer, der.encode(der.INTEGER, serial)),
        digest_algorithm,
        _key_algorithm(key, digest),
        der.encode(der.OCTET_STRING, signature),
    )
    signed_data = der.encode(
        der.SEQUENCE,
        version,
        der.encode(der.SET, digest_algorithm),
        der.encode(der.SEQUENCE, der.encode_oid(_DATA)),
        der.encode(der.SET, signer),
    )
    return der.encode(
        der.SEQUENCE, der.encode_oid(_SIGNED_DATA), der.encode(der.context(0), signed_data)
    )


def _key_algorithm(key: str, digest: str) -> bytes:
    if key == "rsa":
        return der.encode(der.SEQUENCE, der.encode_oid(_RSA), der.encode(der.NULL))
    return der.encode(der.SEQUENCE, der.encode_oid(_ECDSA_OIDS[digest]))
