"""Write the ``modules.*.bin`` tries, byte for byte as kmod 30's depmod does.

Nodes are laid out in post-order (``tools/depmod.c: index_write__node``): children before their
parent, the root last. There are no node objects: the keys are sorted, and the length two
neighbours share says which branch nodes open and close between them.
"""

from __future__ import annotations

import struct

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

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_word = struct.Struct(">I").pack
_ONE = _word(1)
_LEAF = HAS_PREFIX | HAS_VALUES
_TABLES = [struct.Struct(f">BB{size}I").pack for size in range(129)]
"""For each number of bytes from a node's first child to its last: packs those two bytes, and
the addresses of all between."""


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
    """Return the index file of ``packed``: distinct 7-bit keys → count and values.

    Raises ``UnsupportedError`` when it would be larger than the format's addresses reach.
    """
    keys = sorted(packed)
    values = b""
    if keys and not keys[0]:
        values = packed[b""]
        del keys[0]
    pieces, children, end = _lay_out(keys, packed)
    address = end
    root = b""
    if children:
        address |= HAS_CHILDREN
        root = _child_table(children)
    if values:
        address |= HAS_VALUES
        root += values
    if end + len(root) > ADDRESS:
        raise UnsupportedError("an index of more than 256 MiB cannot be written")
    return b"".join((struct.pack(">III", MAGIC, VERSION, address), *pieces, root))


def _lay_out(
    keys: Sequence[bytes], packed: Mapping[bytes, bytes]
) -> tuple[list[bytes], dict[int, int], int]:
    """Lay out the nodes of sorted ``keys``: bytes, the root's children, and where they end."""
    # One loop without calls: it runs for every alias and every symbol of a kernel.
    pieces: list[bytes] = []
    add = pieces.append
    position = HEADER_SIZE
    # The branch nodes above the key at hand: how many bytes lead there, children's addresses by
    # byte, values.
    depth, children, own = 0, {}, b""  # type: int, dict[int, int], bytes
    above: list[tuple[int, dict[int, int], bytes]] = []
    for key, value, shared in zip(keys, map(packed.__getitem__, keys), _shared(keys), strict=True):
        if shared > depth:
            above.append((depth, children, own))
            depth, children, own = shared, {}, b""
            if shared == len(key):
                own = value
                continue
        prefix = key[depth + 1 :]
        if prefix:
            children[key[depth]] = position | _LEAF
            add(prefix)
            add(b"\0")
            position += len(prefix) + 1
        else:
            children[key[depth]] = position | HAS_VALUES
        add(value)
        position += len(value)
        while depth > shared:
            outer = above.pop()
            if outer[0] < shared:
                above.append(outer)
                outer = (shared, {}, b"")
            flags = HAS_CHILDREN
            node = _child_table(children)
            if own:
                flags |= HAS_VALUES
                node += own
            prefix = key[outer[0] + 1 : depth]
            if prefix:
                flags |= HAS_PREFIX
                node = prefix + b"\0" + node
            depth, children, own = outer
            children[key[depth]] = position | flags
            add(node)
            position += len(node)
    return pieces, children, position


def _shared(keys: Sequence[bytes]) -> list[int]:
    """Return for each key how many bytes it has in common with the next one; 0 for the last."""
    if not keys:
        return []
    # As little-endian numbers, two keys first differ in the byte of their lowest unequal bit.
    number = int.from_bytes
    last = number(keys[0], "little")
    shared = [
        (((different := last ^ (last := number(key, "little"))) & -different).bit_length() - 1) >> 3
        for key in keys[1:]
    ]
    shared.append(0)
    return shared


def _child_table(children: dict[int, int]) -> bytes:
    """Return a node's first and last byte, and the addresses of all between (0 for none)."""
    given = [*children]
    first, last = given[0], given[-1]
    size = last - first + 1
    if len(given) == size:
        return _TABLES[size](first, last, *children.values())
    addresses = [0] * size
    for byte, address in children.items():
        addresses[byte - first] = address
    return _TABLES[size](first, last, *addresses)
