"""Signing keys: made, saved, loaded, held against their certificate.

The certificate's extensions are those of the kernel's own ``certs/x509.genkey`` and of a Machine
Owner Key for modules only (``Documentation/admin-guide/module-signing.rst``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lkm import files
from lkm.errors import FormatError, LkmError, UnsupportedError, UsageError
from lkm.signing import certificate as x509_certificate
from lkm.signing.certificate import CODE_SIGNING, MODULE_SIGNING_ONLY, Certificate

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    PrivateKey: TypeAlias = RSAPrivateKey | EllipticCurvePrivateKey

_LARGEST_FILE = 1 << 20  # a key has a few KiB
ALGORITHMS = ("rsa2048", "rsa4096", "ec-p384")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key (of the ``cryptography`` package) and its certificate."""

    private_key: PrivateKey
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where a key pair was written: the key, and the certificate twice (DER, PEM)."""

    private_key: Path
    der: Path
    pem: Path


class PassphraseError(LkmError):
    """A private key is encrypted and the passphrase is missing or wrong."""


def generate(
    common_name: str,
    *,
    algorithm: str = "rsa2048",
    days: int = 3650,
    now: datetime | None = None,
    private_key: PrivateKey | None = None,
) -> KeyPair:
    """Make a key and a self-signed certificate that may sign kernel modules and nothing else.

    A ``private_key`` that is given gets a certificate instead of a new one.
    Raises ``UsageError`` for a name X.509 cannot hold or a validity that is not positive.
    """
    if not 1 <= len(common_name) <= 64:
        raise UsageError("a common name has 1 to 64 characters (X.520 ub-common-name)")
    start = (now or datetime.now(UTC)).replace(microsecond=0)
    if not 1 <= days <= (datetime(9999, 12, 31, tzinfo=UTC) - start).days:
        raise UsageError(f"a certificate cannot be valid for {days} days")
    private_key = private_key or _new_private_key(algorithm)
    encoded = _self_signed(private_key, common_name, start, start + timedelta(days=days))
    return KeyPair(private_key, x509_certificate.parse(encoded))


def _new_private_key(algorithm: str) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if algorithm == "ec-p384":
        return ec.generate_private_key(ec.SECP384R1())
    if algorithm not in ALGORITHMS:
        raise UsageError(f"{algorithm}: not one of {', '.join(ALGORITHMS)}")
    return rsa.generate_private_key(65537, int(algorithm.removeprefix("rsa")))


def _self_signed(key: PrivateKey, common_name: str, start: datetime, end: datetime) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import NameOID

    public_key = key.public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    for extension, critical in _extensions(x509.SubjectKeyIdentifier.from_public_key(public_key)):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _extensions(key_id: x509.SubjectKeyIdentifier) -> list[tuple[x509.ExtensionType, bool]]:
    from cryptography import x509

    usages = [x509.ObjectIdentifier(oid) for oid in (CODE_SIGNING, MODULE_SIGNING_ONLY)]
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            True,
        ),
        (x509.ExtendedKeyUsage(usages), False),
        (key_id, False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), False),
    ]


def save(
    pair: KeyPair,
    directory: str | os.PathLike[str],
    *,
    name: str = "MOK",
    passphrase: bytes | None = None,
    replace: bool = False,
) -> KeyFiles:
    """Write ``NAME.priv`` (mode 0600), ``NAME.der`` and ``NAME.pem`` below ``directory``.

    Files that are there already are an ``UsageError`` unless ``replace``: a key that machines
    trust is not easily had again.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    written = KeyFiles(*(folder / f"{name}.{end}" for end in ("priv", "der", "pem")))
    for path in (written.private_key, written.der, written.pem):
        if path.exists() and not replace:
            raise UsageError(
                f"{path} exists already", hint="choose another --out or --name, or use --force"
            )
    encoded = encode_private_key(pair.private_key, passphrase)
    files.write_atomic(written.private_key, encoded, mode=0o600)
    files.write_atomic(written.der, pair.certificate.encoded)
    files.write_atomic(written.pem, pair.certificate.to_pem())
    return written


def encode_private_key(key: PrivateKey, passphrase: bytes | None) -> bytes:
    """Return ``key`` as PEM PKCS#8, encrypted when there is a passphrase."""
    from cryptography.hazmat.primitives import serialization

    protection: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
    )


def load_private_key(
    path: str | os.PathLike[str], passphrase: bytes | None = None, *, checked: bool = True
) -> PrivateKey:
    """Return the private key in the file ``path`` (PEM or DER).

    Whether an RSA key's numbers fit takes 50 ms to find out, which ``checked=False`` spares for a
    key of this machine's own making.

    Raises ``PassphraseError`` when it is encrypted and ``passphrase`` is missing or wrong,
    ``UnsupportedError`` for a kind of key that no kernel takes, ``FormatError`` otherwise.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    name = os.fspath(path)
    with open(path, "rb") as file:
        data = _key_block(file.read(_LARGEST_FILE))
    try:
        return _checked_kind(_decode_private_key(data, passphrase, name, checked), name)
    except UnsupportedAlgorithm as error:
        raise UnsupportedError(f"{name}: {error}") from None
    except ValueError as error:
        raise FormatError("a private key (PEM or DER)", str(error), path=name) from None


def _decode_private_key(data: bytes, passphrase: bytes | None, path: str, checked: bool) -> object:
    from cryptography.hazmat.primitives import serialization

    load = (
        serialization.load_pem_private_key
        if data.startswith(b"-----BEGIN ")
        else serialization.load_der_private_key
    )
    try:
        return load(data, None, unsafe_skip_rsa_key_validation=not checked)
    except TypeError:  # how the package says that it is encrypted
        if not passphrase:
            raise _passphrase_missing(path) from None
    try:
        return load(data, passphrase, unsafe_skip_rsa_key_validation=not checked)
    except ValueError:
        raise PassphraseError(f"{path}: the passphrase is wrong") from None


def _passphrase_missing(path: str) -> PassphraseError:
    return PassphraseError(
        f"{path}: the private key is encrypted and no passphrase was given",
        hint="give it by prompt, --passphrase-file or the environment's KBUILD_SIGN_PIN",
    )


def _key_block(data: bytes) -> bytes:
    """Return the PEM block of the key in a file that may hold the certificate too.

    The kernel's own ``certs/signing_key.pem`` is such a file.
    """
    end = data.find(b"PRIVATE KEY-----")
    start = data.rfind(b"-----BEGIN ", 0, max(end, 0))
    return data[start:] if start >= 0 else data


def _checked_kind(key: object, path: str) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return key
    kind = type(key).__name__.strip("_").removesuffix("PrivateKey")
    raise UnsupportedError(
        f"{path}: a kernel does not take {kind} signatures of modules",
        hint=f"make a key with lkm keys new --algorithm {'|'.join(ALGORITHMS)}",
    )


def check_pair(key: PrivateKey, certificate: Certificate, path: str = "") -> None:
    """Raise ``LkmError`` unless ``certificate`` is of the public half of ``key``."""
    from cryptography.hazmat.primitives import serialization

    mine = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    if mine != certificate.public_key:
        raise LkmError(
            f"{path or 'the private key'} does not belong to the certificate"
            f" “{certificate.name}” ({certificate.algorithm})",
            hint="give the certificate that was made together with the key",
        )
