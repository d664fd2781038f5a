"""The keys a kernel trusts for modules, found as the kernel finds them.

Source: ``crypto/asymmetric_keys/restrict.c``, ``asymmetric_type.c: find_asymmetric_key``: a signer
is looked up by the exact issuer and serial number, or by the exact subject key identifier.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lkm.errors import FormatError, NotFoundError
from lkm.signing import certificate, publickey
from lkm.signing.certificate import Certificate
from lkm.signing.pkcs7 import SignerInfo

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_CERTIFICATE_SUFFIXES = (".der", ".pem", ".crt", ".cer", ".x509", ".pub")


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A certificate and where it comes from: a file, ``.builtin_trusted_keys``, ``MokListRT``."""

    certificate: Certificate
    source: str


class Keyring:
    """Trusted keys, to be asked who made a signature."""

    def __init__(self, keys: Iterable[TrustedKey] = ()) -> None:
        self.keys = tuple(keys)
        self._by_serial = {
            (key.certificate.issuer, key.certificate.serial): key for key in reversed(self.keys)
        }
        self._by_key_id = {
            key.certificate.key_id: key for key in reversed(self.keys) if key.certificate.key_id
        }

    def __add__(self, other: Keyring) -> Keyring:
        return Keyring(self.keys + other.keys)

    def find(self, signer: SignerInfo) -> TrustedKey | None:
        """Return the key that ``signer`` names, ``None`` when it is not trusted."""
        if signer.key_id:
            return self._by_key_id.get(signer.key_id)
        return self._by_serial.get((signer.issuer, signer.serial))

    @functools.cached_property
    def _loaded(self) -> dict[bytes, PublicKeyTypes | None]:
        return {
            key.certificate.public_key: publickey.load(key.certificate.public_key)
            for key in self.keys
        }

    def public_key(self, key: TrustedKey) -> PublicKeyTypes | None:
        """Return the public key of one of ``keys``, ``None`` when it is of an unknown kind."""
        return self._loaded[key.certificate.public_key]


def from_files(paths: Iterable[str | os.PathLike[str]]) -> Keyring:
    """Return the keyring of the certificates in the files ``paths``."""
    return Keyring(
        TrustedKey(found, os.fspath(path)) for path in paths for found in certificate.load_all(path)
    )


def from_directory(path: str | os.PathLike[str]) -> Keyring:
    """Return the keyring of the certificates in a directory, judged by their file names.

    Raises ``NotFoundError`` when there is none.
    """
    found = sorted(entry for entry in Path(path).iterdir() if entry.suffix in _CERTIFICATE_SUFFIXES)
    if not found:
        raise NotFoundError(
            f"{os.fspath(path)}: no certificate in this directory",
            hint=f"file names end in {', '.join(_CERTIFICATE_SUFFIXES)}",
        )
    return from_files(found)


def from_encoded(certificates: Iterable[bytes], source: str) -> Keyring:
    """Return the keyring of DER ``certificates``, leaving out those that cannot be read.

    So does the kernel with what it finds in its own list or in firmware variables
    (``certs/system_keyring.c: x509_load_certificate_list`` only logs a problem).
    """
    keys = []
    for encoded in certificates:
        try:
            keys.append(TrustedKey(certificate.parse(encoded, source), source))
        except FormatError:
            continue
    return Keyring(keys)
