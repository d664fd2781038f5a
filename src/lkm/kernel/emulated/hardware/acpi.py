"""The smallest set of ACPI tables: a machine with no devices but its power registers.

Without them the kernel runs with ACPI off, and every driver for an ACPI device refuses to load.

Source: ACPI specification 6.5, 5.2 "ACPI System Description Tables", 4.8.3 "ACPI Register Summary".
"""

from __future__ import annotations

import struct

POWER_STATUS, POWER_ENABLE, POWER_CONTROL = 0x600, 0x602, 0x604
"""Ports of the PM1a event block (status, enable) and of the control register."""

ACPI_MODE = 1
"""SCI_EN in the control register: the machine needs not be switched to ACPI."""

_INTERRUPT = 9
_OEM = b"LKM   "
_HEADER = "<4sIBB6s8sI4sI"
_HEADER_SIZE = struct.calcsize(_HEADER)
_FADT_SIZE = 244
_FLAGS = 1 << 0 | 1 << 2 | 1 << 4 | 1 << 5  # WBINVD, PROC_C1, no fixed power and sleep buttons
_LEGACY_DEVICES = 1


def tables(address: int) -> bytes:
    """Return RSDP, FACS, DSDT, FADT and XSDT for the physical ``address`` (a multiple of 64)."""
    facs_at, dsdt_at = address + 64, address + 128
    fadt_at = dsdt_at + 64
    xsdt_at = fadt_at + _FADT_SIZE + 12
    parts = (
        (0, _rsdp(xsdt_at)),
        (facs_at, struct.pack("<4sI", b"FACS", 64).ljust(64, b"\0")),
        (dsdt_at, _table(b"DSDT", 2, b"")),
        (fadt_at, _table(b"FACP", 3, _fadt(facs_at, dsdt_at))),
        (xsdt_at, _table(b"XSDT", 1, struct.pack("<Q", fadt_at))),
    )
    found = bytearray(xsdt_at - address + _HEADER_SIZE + 8)
    for at, content in parts:
        start = at - address if at else 0
        found[start : start + len(content)] = content
    return bytes(found)


def _fadt(facs: int, dsdt: int) -> bytes:
    body = bytearray(_FADT_SIZE - _HEADER_SIZE)
    fields = (
        (36, "<II", (facs, dsdt)),
        (46, "<H", (_INTERRUPT,)),
        (56, "<I", (POWER_STATUS,)),
        (64, "<I", (POWER_CONTROL,)),
        (88, "<BB", (4, 2)),  # lengths of the two blocks
        (109, "<H", (_LEGACY_DEVICES,)),
        (112, "<I", (_FLAGS,)),
        (132, "<QQ", (facs, dsdt)),
    )
    for offset, form, values in fields:
        struct.pack_into(form, body, offset - _HEADER_SIZE, *values)
    return bytes(body)


def _table(signature: bytes, revision: int, body: bytes) -> bytes:
    size = _HEADER_SIZE + len(body)
    head = (signature, size, revision, 0, _OEM, b"EMULATED", 1, b"LKM ", 1)
    return _summed(struct.pack(_HEADER, *head) + body, 9)


def _rsdp(xsdt: int) -> bytes:
    first = _summed(struct.pack("<8sB6sBI", b"RSD PTR ", 0, _OEM, 2, 0), 8)
    return _summed(first + struct.pack("<IQB3x", 36, xsdt, 0), 32)


def _summed(data: bytes, place: int) -> bytes:
    """Return ``data`` with the byte at ``place`` set so that all bytes add up to 0."""
    return data[:place] + bytes([-sum(data) & 0xFF]) + data[place + 1 :]
