"""A module's type data as it would be, had it been made against another vmlinux."""

from __future__ import annotations

import struct

from lkm.vmlinux.btf import HEADER, MODIFIERS, TAIL, BtfKind

_REFERS = MODIFIERS | {BtfKind.PTR, BtfKind.FUNC, BtfKind.FUNC_PROTO, BtfKind.VAR, BtfKind.DECL_TAG}
# Of each kind's tail: which words of an item (of the whole, for an array) are names and type ids.
_ITEM_NAMES = {
    BtfKind.STRUCT: 0,
    BtfKind.UNION: 0,
    BtfKind.ENUM: 0,
    BtfKind.ENUM64: 0,
    BtfKind.FUNC_PROTO: 0,
}
_ITEM_TYPES = {BtfKind.STRUCT: 1, BtfKind.UNION: 1, BtfKind.FUNC_PROTO: 1, BtfKind.DATASEC: 0}


def rebased(data: bytes, *, types: int, names: int, by_types: int, by_names: int) -> bytes:
    """Return the section ``data`` with its own ids and offsets moved.

    ``types`` and ``names`` are how many the vmlinux had that it was made against.
    """
    found = bytearray(data)
    _, _, _, length, offset, size, _, _ = struct.unpack_from("<" + HEADER, data)
    at, end = length + offset, length + offset + size

    def move(at: int, first: int, by: int) -> None:
        (value,) = struct.unpack_from("<I", data, at)
        if value >= first:
            struct.pack_into("<I", found, at, value + by)

    while at < end:
        (info,) = struct.unpack_from("<I", data, at + 4)
        kind, items = BtfKind(info >> 24 & 31), info & 0xFFFF
        head, each = TAIL.get(kind, (0, 0))
        move(at, names, by_names)
        if kind in _REFERS:
            move(at + 8, types, by_types)
        if kind == BtfKind.ARRAY:
            move(at + 12, types, by_types)
            move(at + 16, types, by_types)
        for item in range(at + 12 + head, at + 12 + head + each * items, each or 1):
            if kind in _ITEM_NAMES:
                move(item + 4 * _ITEM_NAMES[kind], names, by_names)
            if kind in _ITEM_TYPES:
                move(item + 4 * _ITEM_TYPES[kind], types, by_types)
        at += 12 + head + each * items
    return bytes(found)
