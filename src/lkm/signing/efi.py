"""EFI signature lists and variables, in which firmware and shim keep keys and hashes.

Source: UEFI specification 2.10, 32.4.1 (EFI_SIGNATURE_LIST) and 8.2 (variables);
``drivers/firmware/efi/mokvar-table.c`` and ``fs/efivarfs/`` for how Linux shows them.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

from lkm.errors import FormatError

GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
SHIM = uuid.UUID("605dab50-e046-4300-abb6-3dd810dd8b23")
IMAGE_SECURITY = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")

X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
SHA256 = uuid.UUID("c1c41626-504c-4092-aca9-41f936934328")

_LIST = struct.Struct("<16sIII")  # type, list size, header size, signature size
_OWNER = 16
_ATTRIBUTES = 4


@dataclass(frozen=True, slots=True)
class EfiSignature:
    """One entry of a signature list: its type, who put it there, and its data (DER, a hash)."""

    type: uuid.UUID
    owner: uuid.UUID
    data: bytes

    @property
    def is_certificate(self) -> bool:
        """Whether ``data`` is an X.509 certificate."""
        return self.type == X509


def parse_lists(data: bytes, path: str = "") -> tuple[EfiSignature, ...]:
    """Return the entries of the signature lists that lie one after the other in ``data``.

    Raises ``FormatError`` where a size does not fit.
    """
    found: list[EfiSignature] = []
    offset = 0
    while offset < len(data):
        size = _parse_list(data, offset, found, path)
        offset += size
    return tuple(found)


def _parse_list(data: bytes, offset: int, found: list[EfiSignature], path: str) -> int:
    left = len(data) - offset
    if left < _LIST.size:
        raise FormatError("an EFI_SIGNATURE_LIST", f"{left} bytes", path=path, offset=offset)
    kind: bytes
    size: int
    kind, size, header, entry = _LIST.unpack_from(data, offset)
    if not _LIST.size + header <= size <= left:
        raise FormatError(
            f"a list size of {_LIST.size} to {left}", f"{size}", path=path, offset=offset + 16
        )
    body = size - _LIST.size - header
    if entry <= _OWNER or body % entry:
        raise FormatError(
            f"a signature size that divides {body}", f"{entry}", path=path, offset=offset + 24
        )
    for start in range(offset + size - body, offset + size, entry):
        owner = uuid.UUID(bytes_le=data[start : start + _OWNER])
        content = data[start + _OWNER : start + entry]
        found.append(EfiSignature(uuid.UUID(bytes_le=kind), owner, content))
    return size


def variable_name(name: str, vendor: uuid.UUID) -> str:
    """Return a variable's file name in efivarfs."""
    return f"{name}-{vendor}"


def variable_value(content: bytes, path: str = "") -> bytes:
    """Return the value in an efivarfs file, whose first four bytes are attributes."""
    if len(content) < _ATTRIBUTES:
        raise FormatError("4 attribute bytes", f"{len(content)} bytes", path=path)
    return content[_ATTRIBUTES:]
