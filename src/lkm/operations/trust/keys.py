"""Make a Machine Owner Key, show a certificate."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import datetime

from lkm.kernels.choose import choose_bootable
from lkm.signing import certificate, keys
from lkm.signing.certificate import Certificate
from lkm.signing.keys import KeyFiles
from lkm.vmlinux.image import open_cached


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The facts of a certificate; bytes in hex, usages as names."""

    name: str
    issuer: str
    serial: str
    key_id: str
    algorithm: str
    not_before: datetime
    not_after: datetime
    sha1: str
    sha256: str
    key_usages: tuple[str, ...] | None
    extended_usages: tuple[str, ...] | None
    authority: bool
    signs_modules: bool
    signs_boot: bool


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was made: its files and its certificate's facts."""

    files: KeyFiles
    certificate: CertificateFacts


def new(
    directory: str | os.PathLike[str],
    *,
    common_name: str = "",
    algorithm: str = "rsa2048",
    days: int = 3650,
    name: str = "MOK",
    passphrase: bytes | None = None,
    replace: bool = False,
) -> NewKey:
    """Make a key pair and write it below ``directory`` as ``NAME.priv``, ``.der`` and ``.pem``.

    Without a ``common_name`` the certificate is named after this machine.
    """
    common_name = common_name or f"{platform.node()[:40]} kernel module signing key"
    pair = keys.generate(common_name, algorithm=algorithm, days=days)
    written = keys.save(pair, directory, name=name, passphrase=passphrase, replace=replace)
    return NewKey(written, facts(pair.certificate))


def show(path: str | os.PathLike[str]) -> tuple[CertificateFacts, ...]:
    """Return the facts of the certificates in a file."""
    return tuple(facts(found) for found in certificate.load_all(path))


def builtin(kernel: str) -> tuple[str, tuple[CertificateFacts, ...]]:
    """Return a kernel's release and the facts of the certificates built into its image.

    ``kernel`` is a release, an image's path, or empty: the kernel that is meant where none is
    named. Raises NotFoundError when its image is not here.
    """
    known = choose_bootable(os.path.abspath(kernel) if os.path.isfile(kernel) else kernel)
    assert known.vmlinuz is not None  # it is bootable
    listed = certificate.split(open_cached(known.vmlinuz).certificates, os.fspath(known.vmlinuz))
    return known.release, tuple(map(facts, listed))


def facts(found: Certificate) -> CertificateFacts:
    """Return what one wants to know of a certificate."""
    extended = found.extended_usages
    return CertificateFacts(
        name=found.name,
        issuer=found.issuer_name,
        serial=found.serial.hex(),
        key_id=found.key_id.hex(),
        algorithm=found.algorithm,
        not_before=found.not_before,
        not_after=found.not_after,
        sha1=found.sha1,
        sha256=found.sha256,
        key_usages=found.key_usages,
        extended_usages=None
        if extended is None
        else tuple(certificate.USAGE_NAMES.get(usage, usage) for usage in extended),
        authority=found.authority,
        signs_modules=found.may_sign_modules,
        signs_boot=found.may_sign_boot,
    )
