"""Write the ``modules.*.bin`` tries, byte for byte as kmod 30's depmod does.

Nodes are laid out in post-order (``tools/depmod.c: index_write__node``): children before their
parent, the root last. There are no node objects: the keys are sorted, and the length two
neighbours share says which branch nodes open and close between them.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lkm.errors import UnsupportedError
from lkm.tree.index_format import (
    ADDRESS,
    HAS_CHILDREN,
    HAS_PREFIX,
    HAS_VALUES,
    HEADER_SIZE,
    MAGIC,
    VERSION,
)

_word = struct.Struct(">I").pack
_ONE = _word(1)
_LEAF = HAS_PREFIX | HAS_VALUES
_NO_CHILDREN = array("I", bytes(4 * 256))
_SWAP = sys.byteorder == "little"


class Part(NamedTuple):
    """Nodes laid out so far: bytes, the root's children (byte, address, byte, …), and where
    the next node goes. A trie may be made of several parts whose keys do not interleave.
    """

    pieces: list[bytes]
    children: list[int]
    values: bytes
    end: int


def pack_value(priority: int, value: bytes) -> bytes:
    """Return one value as it stands in a node, without the count."""
    return _word(priority) + value + b"\0"


def pack_single(packed: bytes) -> bytes:
    """Return what a key with the one value ``packed`` holds."""
    return _ONE + packed


def pack_several(packed: Iterable[bytes]) -> bytes:
    """Return what a key with several packed values holds, in that order."""
    several = list(packed)
    return _word(len(several)) + b"".join(several)


def trie(packed: Mapping[bytes, bytes]) -> bytes:
    """Return the index file of ``packed``: key → count and values."""
    return finish(lay_out(sorted(packed), packed, HEADER_SIZE))


def finish(part: Part) -> bytes:
    """Return the whole file: header, the part's nodes, and the root."""
    header, root = close(part)
    return b"".join((header, *part.pieces, root))


def close(part: Part) -> tuple[bytes, bytes]:
    """Return the file's header and its root node, which goes to ``part.end``."""
    address = part.end
    node = b""
    if part.children:
        address |= HAS_CHILDREN
        node = _child_table(part.children)
    if part.values:
        address |= HAS_VALUES
        node += part.values
    if part.end + len(node) > ADDRESS:
        raise UnsupportedError("an index of more than 256 MiB cannot be written")
    return struct.pack(">III", MAGIC, VERSION, address), node


def lay_out(keys: Sequence[bytes], packed: Mapping[bytes, bytes], begin: int) -> Part:
    """Lay out the nodes of sorted, distinct 7-bit ``keys`` from file offset ``begin`` on."""
    root_values = b""
    if keys and not keys[0]:
        root_values = packed[b""]
        keys = keys[1:]
    pieces: list[bytes] = []
    add = pieces.append
    position = begin
    # The branch nodes above the key at hand: how many bytes lead there, children, values.
    depth, children, own = 0, [], b""  # type: int, list[int], bytes
    above: list[tuple[int, list[int], bytes]] = []
    for key, value, shared in zip(keys, map(packed.__getitem__, keys), _shared(keys), strict=True):
        if shared > depth:
            above.append((depth, children, own))
            depth, children, own = shared, [], b""
            if shared == len(key):
                own = value
                continue
        prefix = key[depth + 1 :]
        children.append(key[depth])
        if prefix:
            children.append(position | _LEAF)
            add(prefix)
            add(b"\0")
            position += len(prefix) + 1
        else:
            children.append(position | HAS_VALUES)
        add(value)
        position += len(value)
        while depth > shared:
            if above[-1][0] < shared:
                above.append((shared, [], b""))
            node, flags = _branch(key[above[-1][0] + 1 : depth], children, own)
            depth, children, own = above.pop()
            children.append(key[depth])
            children.append(position | flags)
            add(node)
            position += len(node)
    return Part(pieces, children, root_values, position)


def _branch(prefix: bytes, children: Sequence[int], values: bytes) -> tuple[bytes, int]:
    """Return a node that has children, and the flags of its address."""
    node = _child_table(children) + values
    flags = HAS_CHILDREN | HAS_VALUES if values else HAS_CHILDREN
    if prefix:
        return prefix + b"\0" + node, flags | HAS_PREFIX
    return node, flags


def _shared(keys: Sequence[bytes]) -> list[int]:
    """Return for each key how many bytes it has in common with the next one; 0 for the last."""
    if not keys:
        return []
    # As little-endian numbers, two keys first differ in the byte of their lowest unequal bit;
    # what follows the last differs from it in the first one.
    numbers = [int.from_bytes(key, "little") for key in keys]
    following = numbers[1:]
    following.append(~numbers[-1])
    return [
        (((different := a ^ b) & -different).bit_length() - 1) >> 3
        for a, b in zip(numbers, following, strict=True)
    ]


def _child_table(children: Sequence[int]) -> bytes:
    """Return a node's first and last byte, and the addresses of all between (0 for none)."""
    first, last = children[0], children[-2]
    size = last - first + 1
    if len(children) == 2 * size:
        table = array("I", children[1::2])
    else:
        table = _NO_CHILDREN[:size]
        for byte, address in zip(children[::2], children[1::2], strict=True):
            table[byte - first] = address
    if _SWAP:
        table.byteswap()
    return bytes((first, last)) + table.tobytes()
