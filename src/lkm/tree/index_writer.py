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
_PAIRS = [struct.Struct(f">BBI{4 * max(distance - 1, 0)}xI").pack for distance in range(128)]
"""The same for a node of two children, by the distance of their bytes; between them are zeros."""


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


def pack_all(singles: Iterable[bytes]) -> bytes:
    """Return what a key holds that has all the values ``singles``, of ``pack_single``, hold."""
    return pack_several([single[len(_ONE) :] for single in singles])


def trie(packed: Mapping[bytes, bytes]) -> bytes:
    """Return the index file of ``packed``, as ``sorted_trie`` does."""
    keys = sorted(packed)
    return sorted_trie(keys, [packed[key] for key in keys])


def sorted_trie(keys: Sequence[bytes], packed: Sequence[bytes]) -> bytes:
    """Return the index file of sorted, distinct, 7-bit ``keys``: ``packed`` is what each holds.

    Raises ``UnsupportedError`` when it would be larger than the format's addresses reach.
    """
    values = b""
    if keys and not keys[0]:
        values = packed[0]
        keys, packed = keys[1:], packed[1:]
    if keys:
        pieces, root, end = _lay_out(keys, packed, values)
    else:
        pieces, end = [values], HEADER_SIZE + len(values)
        root = HEADER_SIZE | (HAS_VALUES if values else 0)
    if end > ADDRESS:
        raise UnsupportedError("an index of more than 256 MiB cannot be written")
    return b"".join((struct.pack(">III", MAGIC, VERSION, root), *pieces))


def _lay_out(
    keys: Sequence[bytes], packed: Sequence[bytes], values: bytes
) -> tuple[list[bytes], int, int]:
    """Lay out the nodes of sorted ``keys`` below a root with ``values``.

    Returns their bytes, the root's address and where they end.
    """
    # One loop without calls: it runs for every alias and every symbol of a kernel.
    nodes: list[bytes] = []
    add = nodes.append
    position = HEADER_SIZE
    # The branch nodes above the key at hand: how many bytes lead there, the byte and the address
    # of each child, values. What is above the root takes its address in the end.
    given: list[int] = []
    addresses: list[int] = []
    depth, own = 0, values
    above: list[tuple[int, list[int], list[int], bytes]] = [(-1, [], [], b"")]
    for key, value, shared in zip(keys, packed, _shared(keys), strict=True):
        if shared > depth:
            above.append((depth, given, addresses, own))
            depth, given, addresses, own = shared, [], [], b""
            if shared == len(key):
                own = value
                continue
        given.append(key[depth])
        prefix = key[depth + 1 :]
        addresses.append(position | (_LEAF if prefix else HAS_VALUES))
        node = prefix + b"\0" + value if prefix else value
        add(node)
        position += len(node)
        if shared >= depth:
            continue
        while depth > shared:
            outer = above.pop()
            if outer[0] < shared:
                above.append(outer)
                outer = (shared, [], [], b"")
            node = (
                _PAIRS[given[1] - given[0]](*given, *addresses)
                if len(given) == 2  # as most have
                else _child_table(given, addresses)
            )
            flags = HAS_CHILDREN
            if own:
                flags |= HAS_VALUES
                node += own
            prefix = key[outer[0] + 1 : depth]
            if prefix:
                flags |= HAS_PREFIX
                node = prefix + b"\0" + node
            depth, given, addresses, own = outer
            given.append(key[depth])
            addresses.append(position | flags)
            add(node)
            position += len(node)
    return nodes, addresses[0], position


def _shared(keys: Sequence[bytes]) -> list[int]:
    """Return for each key how many bytes it has in common with the next one; -1 for the last."""
    # As little-endian numbers, two keys first differ in the byte of their lowest unequal bit, and
    # one less than a number has all bits up to its lowest one turned.
    number = int.from_bytes
    last = number(keys[0], "little")
    shared = [
        (((differ := last ^ (last := number(key, "little"))) ^ (differ - 1)).bit_length() - 1) >> 3
        for key in keys[1:]
    ]
    shared.append(-1)
    return shared


def _child_table(given: Sequence[int], addresses: Sequence[int]) -> bytes:
    """Return a node's first and last byte, and the addresses of all between (0 for none)."""
    first, last = given[0], given[-1]
    size = last - first + 1
    if len(given) == size:
        return _TABLES[size](first, last, *addresses)
    table = [0] * size
    for byte, address in zip(given, addresses, strict=True):
        table[byte - first] = address
    return _TABLES[size](first, last, *table)
