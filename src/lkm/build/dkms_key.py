"""The key with which this machine's DKMS signs: where dkms and Ubuntu's shim-signed keep it."""

from __future__ import annotations

import os

from lkm.record import Record

PLACES = (
    ("/var/lib/shim-signed/mok/MOK.priv", "/var/lib/shim-signed/mok/MOK.der"),
    ("/var/lib/dkms/mok.key", "/var/lib/dkms/mok.pub"),
)
"""Private key and certificate: Ubuntu's, made by ``update-secureboot-policy``, and dkms's own."""


class DkmsKey(Record):
    """A key pair that is here; paths are as the machine has them, without ``root``."""

    private_key: str
    certificate: str


def machine_key(root: str = "/") -> DkmsKey | None:
    """Return the key pair DKMS signs with below ``root``, ``None`` where it has made none."""
    base = root.rstrip("/")
    for private_key, certificate in PLACES:
        if os.path.exists(base + certificate):
            return DkmsKey(private_key, certificate)
    return None
