"""Write the ``modules.*.bin`` tries, byte for byte as kmod 30's depmod does.

Nodes are laid out in post-order (``tools/depmod.c: index_write__node``): children before their
parent, the root last. There are no node objects: the keys are sorted, and the length two
neighbours share says which branch nodes open and close between them.
"""

from __future__ import annotations

import itertools
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
    branches = _OpenBranches(begin)
    add = branches.pieces.append
    # The loop runs once per alias and symbol: a leaf is laid out here, without a call.
    for key, value, shared in zip(keys, map(packed.__getitem__, keys), _shared(keys), strict=True):
        if shared > branches.depth:
            if shared == len(key):
                branches.open(shared, value)
                continue
            branches.open(shared)
        depth = branches.depth
        prefix = key[depth + 1 :]
        if prefix:
            piece = prefix + b"\0" + value
            branches.children += (key[depth], branches.position | (HAS_PREFIX | HAS_VALUES))
        else:
            piece = value
            branches.children += (key[depth], branches.position | HAS_VALUES)
        add(piece)
        branches.position += len(piece)
        if shared < depth:
            branches.close(key, shared)
    return Part(branches.pieces, branches.children, root_values, branches.position)


class _OpenBranches:
    """The branch nodes above the key being laid out, of which more children may still come."""

    __slots__ = ("_depths", "_families", "_values", "children", "depth", "pieces", "position")

    def __init__(self, begin: int) -> None:
        self.pieces: list[bytes] = []
        self.position = begin
        self.depth = 0
        self.children: list[int] = []
        self._depths = [0]
        self._families = [self.children]
        self._values = [b""]

    def open(self, depth: int, values: bytes = b"") -> None:
        """Begin a branch for keys that share ``depth`` bytes."""
        self.depth = depth
        self.children = []
        self._depths.append(depth)
        self._families.append(self.children)
        self._values.append(values)

    def close(self, key: bytes, shared: int) -> None:
        """Lay out the branches deeper than what ``key`` shares with the key that follows."""
        while self.depth > shared:
            depth = self._depths.pop()
            children = self._families.pop()
            values = self._values.pop()
            if self._depths[-1] < shared:
                self.open(shared)
            else:
                self.depth = self._depths[-1]
                self.children = self._families[-1]
            prefix = key[self.depth + 1 : depth]
            address = self.position | HAS_CHILDREN
            piece = _child_table(children) + values
            if prefix:
                address |= HAS_PREFIX
                piece = prefix + b"\0" + piece
            if values:
                address |= HAS_VALUES
            self.pieces.append(piece)
            self.position += len(piece)
            self.children += (key[self.depth], address)


def _shared(keys: Sequence[bytes]) -> Iterable[int]:
    """Yield for each key how many bytes it has in common with the next one; 0 for the last."""
    # As little-endian numbers, two keys first differ in the byte of their lowest unequal bit.
    numbers = [int.from_bytes(key, "little") for key in keys]
    for number, following in itertools.pairwise(numbers):
        different = number ^ following
        yield ((different & -different).bit_length() - 1) >> 3
    if keys:
        yield 0


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
