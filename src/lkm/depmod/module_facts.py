"""The facts that one module contributes to the indexes, stored in NUL-joined strings."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Collection

Facts = tuple[bytes, bytes, bytes, bytes, bytes | memoryview, bytes, str]
"""Aliases, softdeps, weakdeps, exports; its imports, either as the ``__versions`` section that
names them all or as names in the symbol table's order; and what was wrong with the file, if
anything. Strings are ended by NUL. A plain tuple of plain values, for thousands of them go from
process to process."""


def ended(strings: Collection[bytes]) -> bytes:
    """Return ``strings`` in one, each with a NUL after it."""
    return b"\0".join(strings) + b"\0" if strings else b""


def unended(joined: bytes) -> list[bytes]:
    """Return the strings that ``ended`` has joined."""
    return joined.split(b"\0")[:-1]
