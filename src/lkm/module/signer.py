"""Who signed a module, as its PKCS#7 message claims: nothing here is verified.

Only the path to the first signer is walked (RFC 2315, 9.2). What of it is shown, and how, is
libkmod's choice (``libkmod/libkmod-signature.c: fill_pkcs7``).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from lkm.module.signature import Signature

_SEQUENCE, _SET, _INTEGER, _OCTETS, _OID = 0x30, 0x31, 0x02, 0x04, 0x06
_EXPLICIT_0, _EXPLICIT_1 = 0xA0, 0xA1
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_COMMON_NAME = bytes.fromhex("550403")

# Tags on the way, and whether to go into the value or past it.
_TO_CONTENT_TYPE = ((_SEQUENCE, True),)
_TO_CERTIFICATES = (
    (_OID, False),
    (_EXPLICIT_0, True),
    (_SEQUENCE, True),
    (_INTEGER, False),
    (_SET, False),
    (_SEQUENCE, False),  # the content, which is the module and not here
)
_TO_IDENTITY = ((_SET, True), (_SEQUENCE, True), (_INTEGER, False))

_DIGESTS = {
    bytes.fromhex("2a864886f70d0204"): "md4",
    bytes.fromhex("2a864886f70d0205"): "md5",
    bytes.fromhex("2b0e03021a"): "sha1",
    bytes.fromhex("2b24030201"): "rmd160",
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
    bytes.fromhex("608648016503040204"): "sha224",
    bytes.fromhex("608648016503040208"): "sha3-256",
    bytes.fromhex("608648016503040209"): "sha3-384",
    bytes.fromhex("60864801650304020a"): "sha3-512",
    bytes.fromhex("2a811ccf55018311"): "sm3",
}

_OLD_DIGESTS = ("md4", "md5", "sha1", "rmd160", "sha256", "sha384", "sha512", "sha224", "sm3")
_ID_TYPES = ("PGP", "X509", "PKCS#7")


@dataclass(frozen=True, slots=True)
class ClaimedSigner:
    """A signature's claim about its maker: ``name`` is the issuer's common name, unverified.

    ``key_id`` is the certificate's serial number, big-endian, ``digest`` the hash algorithm's name
    and ``signature`` the bytes of the signature proper.
    """

    id_type: str
    name: str
    key_id: bytes
    digest: str
    signature: bytes


def read(signature: Signature) -> ClaimedSigner | None:
    """Return what ``signature`` says, ``None`` where it is no message of a known kind."""
    if signature.id_type >= len(_ID_TYPES) or signature.hash >= len(_OLD_DIGESTS):
        return None
    if signature.algo > 1 or not signature.blob:
        return None
    if signature.is_pkcs7:
        try:
            return _from_pkcs7(signature.blob)
        except _NotDerError:
            return None
    return ClaimedSigner(
        _ID_TYPES[signature.id_type],
        signature.signer.decode("utf-8", "surrogateescape"),
        signature.key_id,
        _OLD_DIGESTS[signature.hash],
        signature.blob,
    )


def _from_pkcs7(blob: bytes) -> ClaimedSigner:
    """Walk ContentInfo → SignedData → the first SignerInfo, which names issuer and serial."""
    place = _walk(blob, 0, _TO_CONTENT_TYPE)
    kind, _ = _take(blob, place, _OID)
    if kind != _SIGNED_DATA:
        raise _NotDerError
    place = _walk(blob, place, _TO_CERTIFICATES)
    for tag in (_EXPLICIT_0, _EXPLICIT_1):  # certificates, revocation lists
        place = _skip(blob, place, tag)
    return _from_signer_info(blob, _walk(blob, place, _TO_IDENTITY))


def _from_signer_info(blob: bytes, place: int) -> ClaimedSigner:
    """Read the rest of a SignerInfo, from issuerAndSerialNumber on."""
    identity, place = _enter(blob, place, _SEQUENCE)
    issuer, identity = _take(blob, identity, _SEQUENCE)
    serial, _ = _take(blob, identity, _INTEGER)
    algorithm, place = _enter(blob, place, _SEQUENCE)
    digest, _ = _take(blob, algorithm, _OID)
    place = _skip(blob, place, _EXPLICIT_0)  # signed attributes
    _, place = _enter(blob, place, _SEQUENCE)  # the signature algorithm
    signature, _ = _take(blob, place, _OCTETS)
    number = abs(int.from_bytes(serial, "big", signed=True))
    return ClaimedSigner(
        "PKCS#7",
        _name_of(issuer).partition(b"\0")[0].decode("utf-8", "surrogateescape"),
        number.to_bytes(len(serial), "big").lstrip(b"\0"),
        _DIGESTS.get(digest, "unknown"),
        signature,
    )


@functools.lru_cache(maxsize=64)  # a kernel's modules all have the same signer
def _name_of(issuer: bytes) -> bytes:
    """Return the first common name, or else the last attribute of any kind, as libkmod does."""
    value = b""
    place = 0
    while place < len(issuer):
        attribute, after = _enter(issuer, place, _SET)
        while attribute < after:
            inside, attribute = _enter(issuer, attribute, _SEQUENCE)
            kind, inside = _take(issuer, inside, _OID)
            value, _ = _take(issuer, inside, None)
            if kind == _COMMON_NAME:
                return value
        place = after
    return value


class _NotDerError(Exception):
    """The bytes are not the DER expected; the caller answers "no signer"."""


def _walk(data: bytes, place: int, steps: tuple[tuple[int, bool], ...]) -> int:
    """Go into each value of ``steps``, or past it, and return the place arrived at."""
    for tag, into in steps:
        start, end = _enter(data, place, tag)
        place = start if into else end
    return place


def _enter(data: bytes, place: int, tag: int | None) -> tuple[int, int]:
    """Return where the content of the value at ``place`` starts and ends; check its tag."""
    start = place + 2
    if start > len(data) or (tag is not None and data[place] != tag):
        raise _NotDerError
    length = data[place + 1]
    if length >= 0x80:
        count = length - 0x80
        if not 0 < count <= 4:
            raise _NotDerError
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    if start + length > len(data):
        raise _NotDerError
    return start, start + length


def _take(data: bytes, place: int, tag: int | None) -> tuple[bytes, int]:
    """Return the content of the value at ``place``, and where the next value starts."""
    start, end = _enter(data, place, tag)
    return data[start:end], end


def _skip(data: bytes, place: int, tag: int) -> int:
    """Return the place after the value, if it has this tag, else ``place`` itself."""
    if data[place : place + 1] == bytes((tag,)):
        return _enter(data, place, tag)[1]
    return place
