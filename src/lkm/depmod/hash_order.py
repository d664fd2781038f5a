"""The order in which kmod's hash tables give their keys back; depmod's files are in that order.

``shared/hash.c`` (Paul Hsieh's SuperFastHash over 16-bit words): by bucket, and by byte value
within one. All keys of one length are hashed together, each in a 64-bit lane of one big number:
one by one, depmod takes 7 to 20 % longer to read all modules.
"""

from __future__ import annotations

from itertools import chain
from struct import unpack

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable

MODULE_BUCKETS = 512
SYMBOL_BUCKETS = 2048


def in_hash_order(keys: Iterable[bytes], buckets: int) -> list[bytes]:
    """Return ``keys`` as a table of ``buckets`` (a power of two) gives them back."""
    by_length: dict[int, list[bytes]] = {}
    for key in keys:
        by_length.setdefault(len(key), []).append(key)
    table: list[list[bytes]] = [[] for _ in range(buckets)]
    for length, same in by_length.items():
        for bucket, key in zip(_Lanes(same, length).buckets(buckets), same, strict=True):
            table[bucket].append(key)
    for entries in table:
        entries.sort()
    return list(chain.from_iterable(table))


class _Lanes:
    """The hashes of keys of one length, computed side by side."""

    def __init__(self, keys: list[bytes], length: int) -> None:
        self._count = len(keys)
        self._length = length
        self._bytes = b"".join(keys)
        self._ones = int.from_bytes(b"\1\0\0\0\0\0\0\0" * self._count, "little")
        self._words = self._ones * 0xFFFF_FFFF

    def buckets(self, count: int) -> tuple[int, ...]:
        """Return the bucket of each key."""
        mixed = self._finish(self._body()) & (self._ones * (count - 1))
        return unpack(f"<{self._count}Q", mixed.to_bytes(8 * self._count, "little"))

    def _body(self) -> int:
        # A lane has room for twice the bits a hash has: what leaves those is cut off in the end of
        # a step, and what a shift to the right brings in from the next lane comes in far above.
        words = self._words
        value = self._ones * self._length
        place = 0
        for _ in range(self._length // 4):
            value += self._short(place)
            value = (value << 16 ^ self._short(place + 2) << 11 ^ value) & words
            value = (value + (value >> 11)) & words
            place += 4
        return self._tail(value, place)

    def _tail(self, value: int, place: int) -> int:
        words = self._words
        match self._length & 3:
            case 3:
                value += self._short(place)
                value = (value << 16 ^ self._byte(place + 2) << 18 ^ value) & words
                return (value + (value >> 11)) & words
            case 2:
                value += self._short(place)
                value = (value << 11 ^ value) & words
                return (value + (value >> 17)) & words
            case 1:
                value += self._byte(place)
                value = (value << 10 ^ value) & words
                return (value + (value >> 1)) & words
        return value

    def _finish(self, value: int) -> int:
        words = self._words
        for left, right in ((3, 5), (4, 17), (25, 6)):
            value = (value << left ^ value) & words
            value = (value + (value >> right)) & words
        return value

    def _short(self, place: int) -> int:
        """Return the 16-bit word at ``place`` of every key."""
        lanes = bytearray(8 * self._count)
        lanes[::8] = self._bytes[place :: self._length]
        lanes[1::8] = self._bytes[place + 1 :: self._length]
        return int.from_bytes(lanes, "little")

    def _byte(self, place: int) -> int:
        lanes = bytearray(8 * self._count)
        lanes[::8] = self._bytes[place :: self._length]
        return int.from_bytes(lanes, "little")
