"""Checking a signature with a public key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_HASHES = {
    "sha1": "SHA1",
    "sha224": "SHA224",
    "sha256": "SHA256",
    "sha384": "SHA384",
    "sha512": "SHA512",
    "sha3_256": "SHA3_256",
    "sha3_384": "SHA3_384",
    "sha3_512": "SHA3_512",
}


def prehashed(digest: str, *, is_rsa: bool) -> tuple[Any, ...]:
    """Return what ``sign`` and ``verify`` of a ``cryptography`` key take after the digest."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

    ready = utils.Prehashed(getattr(hashes, _HASHES[digest])())
    return (padding.PKCS1v15(), ready) if is_rsa else (ec.ECDSA(ready),)


def load(public_key: bytes) -> PublicKeyTypes | None:
    """Return the key in a DER SubjectPublicKeyInfo, ``None`` for one that cannot be used."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        return serialization.load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm):
        return None


def matches(key: PublicKeyTypes, signature: bytes, digest: bytes, name: str) -> bool:
    """Say whether ``signature`` is of ``digest`` (made by the hash ``name``) with ``key``."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, digest, *prehashed(name, is_rsa=True))
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, digest, *prehashed(name, is_rsa=False))
        else:
            return False
    except InvalidSignature:
        return False
    return True
