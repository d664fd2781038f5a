"""EFI signature lists, written as mokutil writes certificates."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from lkm.signing.efi import EfiSignature


def encode_lists(signatures: Iterable[EfiSignature]) -> bytes:
    """Return signature lists, one for each entry."""
    return b"".join(
        struct.pack("<16sIII", one.type.bytes_le, 44 + len(one.data), 0, 16 + len(one.data))
        + one.owner.bytes_le
        + one.data
        for one in signatures
    )
