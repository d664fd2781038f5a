"""Signing a module's bytes, with a key in a file or one that only a program can reach."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lkm.errors import ToolError, UsageError
from lkm.module import signature
from lkm.signing import pkcs7
from lkm.signing.certificate import Certificate

if TYPE_CHECKING:
    from lkm.signing.keys import PrivateKey

DIGESTS = ("sha256", "sha384", "sha512")
PIN_VARIABLE = "KBUILD_SIGN_PIN"
"""Where kbuild and sign-file look for a key's passphrase or a token's PIN."""


class ModuleSigner(Protocol):
    """Makes a detached PKCS#7 signature of a module's bytes."""

    def sign(self, content: bytes) -> bytes:
        """Return the DER of the PKCS#7 message that signs ``content``."""
        ...


@dataclass(frozen=True, slots=True)
class KeySigner:
    """Signs with a private key at hand; ``digest`` is one of ``DIGESTS``."""

    private_key: PrivateKey
    certificate: Certificate
    digest: str = "sha256"

    def sign(self, content: bytes) -> bytes:
        """Return the DER of the PKCS#7 message that signs ``content``.

        With an RSA key these are the bytes that kbuild's ``scripts/sign-file`` writes.
        """
        from lkm.signing.publickey import prehashed

        digest = hashlib.new(self.digest, content).digest()
        is_rsa = self.certificate.algorithm.startswith("rsa")
        arguments = prehashed(self.digest, is_rsa=is_rsa)
        return pkcs7.build(
            self.certificate.issuer,
            self.certificate.serial,
            digest=self.digest,
            key="rsa" if is_rsa else "ecdsa",
            signature=self.private_key.sign(digest, *arguments),
        )


@dataclass(frozen=True, slots=True)
class SignFileSigner:
    """Signs by calling the kernel's ``sign-file``, for keys that never leave their token.

    ``program`` is that tool's path, ``key`` what it is given as key (a ``pkcs11:`` URI),
    ``certificate_path`` the certificate's file.
    """

    program: str
    key: str
    certificate_path: str
    digest: str = "sha256"

    def sign(self, content: bytes) -> bytes:
        """Return the DER of the PKCS#7 message that signs ``content``; raises ``ToolError``."""
        with tempfile.TemporaryDirectory(prefix="lkm-sign-") as folder:
            module = Path(folder, "module.ko")
            module.write_bytes(content)
            command = [self.program, "-dp", self.digest, self.key, self.certificate_path]
            _run([*command, str(module)])
            return Path(f"{module}.p7s").read_bytes()


@dataclass(frozen=True, slots=True)
class OpensslSigner:
    """Signs by calling ``openssl cms`` with what reaches the token: an engine, else a provider."""

    program: str
    key: str
    certificate: Certificate
    digest: str = "sha256"

    def sign(self, content: bytes) -> bytes:
        """Return the DER of the PKCS#7 message that signs ``content``; raises ``ToolError``."""
        with tempfile.TemporaryDirectory(prefix="lkm-sign-") as folder:
            signer, module = Path(folder, "signer.pem"), Path(folder, "module.ko")
            signer.write_bytes(self.certificate.to_pem())
            module.write_bytes(content)
            command = [self.program, "cms", "-sign", "-binary", "-noattr", "-nocerts"]
            command += ["-nosmimecap", "-outform", "DER", "-md", self.digest]
            command += ["-signer", str(signer), "-inkey", self.key, "-in", str(module)]
            if PIN_VARIABLE in os.environ:
                command += ["-passin", f"env:{PIN_VARIABLE}"]
            try:
                return _run([*command, "-engine", "pkcs11", "-keyform", "engine"])
            except ToolError as with_engine:
                try:
                    return _run([*command, "-provider", "pkcs11", "-provider", "default"])
                except ToolError:
                    raise with_engine from None


def _run(command: Sequence[str]) -> bytes:
    name = Path(command[0]).name
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise ToolError(f"{name} cannot be run ({error.strerror})", command=command) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise ToolError(
            f"{name} failed{': ' + said if said else ''}",
            command=command,
            returncode=done.returncode,
            output=said,
            hint=f"a PIN goes into the environment's {PIN_VARIABLE}",
        )
    return done.stdout


def certificate_warnings(certificate: Certificate, now: datetime) -> tuple[str, ...]:
    """Return what is odd about signing with ``certificate``; the kernel checks none of it."""
    warnings = []
    if now > certificate.not_after:
        warnings.append(f"the certificate expired on {certificate.not_after:%Y-%m-%d}")
    if now < certificate.not_before:
        warnings.append(f"the certificate is valid only from {certificate.not_before:%Y-%m-%d}")
    return tuple(f"{text}; the kernel does not check this" for text in warnings)


def check_usage(certificate: Certificate) -> None:
    """Raise ``UsageError`` when the certificate's own usages exclude signing modules."""
    if not certificate.may_sign_modules:
        raise UsageError(
            f"the certificate “{certificate.name}” is not for signing code",
            hint="lkm keys new makes one that is; --any-usage signs nevertheless",
        )


def signed(data: bytes, signer: ModuleSigner, path: str = "") -> bytes:
    """Return the module ``data`` (uncompressed) signed, in place of any signature it had."""
    content = signature.strip(data, path)
    return signature.append(content, signer.sign(content), path)
