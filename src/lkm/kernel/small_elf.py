"""The smallest ELF program for x86-64: one segment that holds its headers and its code."""

from __future__ import annotations

import struct

CODE = 0x400078
"""Where the code lies in memory."""

_HEADER_SIZE, _PROGRAM_HEADER_SIZE = 64, 56
_EXECUTABLE, _X86_64 = 2, 62
_LOADABLE, _READ_AND_EXECUTE = 1, 5


def program(code: bytes) -> bytes:
    """Return a static program that begins at the first byte of ``code``."""
    headers = _HEADER_SIZE + _PROGRAM_HEADER_SIZE
    base, size = CODE - headers, headers + len(code)
    segment = (_LOADABLE, _READ_AND_EXECUTE, 0, base, base, size, size, 0x1000)
    head = (
        *(_EXECUTABLE, _X86_64, 1, CODE, _HEADER_SIZE, 0, 0),
        *(_HEADER_SIZE, _PROGRAM_HEADER_SIZE, 1, 0, 0, 0),
    )
    identity = b"\x7fELF\2\1\1" + bytes(9)
    return (
        identity + struct.pack("<HHIQQQIHHHHHH", *head) + struct.pack("<IIQQQQQQ", *segment) + code
    )
