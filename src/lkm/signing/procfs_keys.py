"""The kernel's keyrings as /proc/keys shows them: names and key ids, not the keys.

Source: ``security/keys/proc.c: proc_keys_show``, ``crypto/asymmetric_keys/asymmetric_type.c:
asymmetric_key_describe``. A key's line does not say in which keyring it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# serial flags usage expiry perm uid gid type(9) description
_LINE = re.compile(
    r"^(?P<serial>[0-9a-f]{8}) (?P<flags>\S{7,8}) +\d+ +\S+ +[0-9a-f]{8} +\d+ +\d+ "
    r"(?P<type>\S+) +(?P<description>.*)$"
)
# DESCRIPTION: ID in hex: SUBTYPE LAST-BYTES [USAGE]
_ASYMMETRIC = re.compile(
    r"^(?P<name>.*): (?P<key_id>[0-9a-f]+): (?P<algorithm>X509\.\S+) [0-9a-f]+ \[.*\]$"
)
_KEYRING = re.compile(r"^(?P<name>\.[a-z_-]+): (?P<count>empty|\d+)")


@dataclass(frozen=True, slots=True)
class KernelKey:
    """An X.509 key the kernel holds: its name, key id in hex, algorithm (``X509.rsa``)."""

    name: str
    key_id: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class KernelKeyring:
    """One of the kernel's own keyrings (``.machine``) and how many keys and keyrings it holds."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class KernelKeys:
    """The trusted keys that /proc/keys shows."""

    keyrings: tuple[KernelKeyring, ...] = ()
    keys: tuple[KernelKey, ...] = ()

    def count(self, keyring: str) -> int:
        """Return how many entries ``keyring`` has, 0 when the kernel does not have it."""
        return sum(ring.count for ring in self.keyrings if ring.name == keyring)


def parse(text: str) -> KernelKeys:
    """Return the system keyrings and X.509 keys in the text of /proc/keys.

    Lines of other kinds, and those of a form not known here, are passed over.
    """
    keyrings, keys = [], []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        if match["type"] == "keyring":
            keyring = _KEYRING.match(match["description"])
            if keyring:
                count = 0 if keyring["count"] == "empty" else int(keyring["count"])
                keyrings.append(KernelKeyring(keyring["name"], count))
        elif "asymmetric".startswith(match["type"]):  # the column is nine characters wide
            key = _ASYMMETRIC.match(match["description"])
            if key:
                keys.append(KernelKey(key["name"], key["key_id"], key["algorithm"]))
    return KernelKeys(tuple(keyrings), tuple(keys))
