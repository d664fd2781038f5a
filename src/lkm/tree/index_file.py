"""The ``modules.*.bin`` tries: reading and look-up.

Big-endian; format and search order as kmod's ``libkmod/libkmod-index.c`` (magic ``0xB007F457``,
version 2.x)::

    u32 magic, u32 version, u32 root
    node:  [prefix NUL]  [u8 first, u8 last, u32 child[last-first+1]]
           [u32 count, count * (u32 priority, value NUL)]

A node's address carries in its upper four bits which of the three parts are there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from lkm.errors import FormatError
from lkm.tree.index_format import (
    ADDRESS,
    HAS_CHILDREN,
    HAS_PREFIX,
    HAS_VALUES,
    HEADER_SIZE,
    MAGIC,
    VERSION,
)
from lkm.tree.wildcards import START, MatchProgress, Text

_HEADER = Struct(">III")
_WORD = Struct(">I").unpack_from
_WILD = frozenset(b"*?[")
_HINT = "run depmod to write the index again"


class IndexValue(NamedTuple):
    """One value of a key; a lower ``priority`` comes first (the module's place in the order)."""

    priority: int
    value: str


class _Node(NamedTuple):
    """Where a node's parts are; ``values`` is the offset of their count, or 0 for none."""

    prefix: bytes
    first: int
    width: int
    table: int
    values: int


class IndexFile:
    """A trie of keys, each with values; keys may be wildcard patterns.

    Raises ``FormatError`` from any look-up that meets bytes no trie can have.
    """

    __slots__ = ("_data", "_root", "path")

    def __init__(self, data: bytes, path: str = "<bytes>") -> None:
        self.path = path
        self._data = data
        if len(data) < HEADER_SIZE:
            raise self._error("a module index of 12 bytes or more", f"{len(data)} bytes")
        magic, version, root = _HEADER.unpack_from(data)
        if magic != MAGIC:
            raise self._error(f"magic {MAGIC:#x}", f"{magic:#x}", 0)
        if version >> 16 != VERSION >> 16:
            raise self._error("version 2", str(version >> 16), 4)
        self._root: int = root

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> IndexFile:
        """Read the index at ``path``; an ``OSError`` when it cannot be read."""
        name = os.fspath(path)
        with open(name, "rb", buffering=0) as file:
            return cls(file.read(), name)

    def search(self, key: str) -> str | None:
        """Return the first value of exactly ``key`` (kmod: ``index_mm_search``)."""
        values = self.search_values(key)
        return values[0].value if values else None

    def search_values(self, key: str) -> tuple[IndexValue, ...]:
        """Return every value of exactly ``key``, in the file's order."""
        wanted = os.fsencode(key)
        position = 0
        address = self._root
        while address & ADDRESS:
            node = self._node(address)
            if not wanted.startswith(node.prefix, position):
                break
            position += len(node.prefix)
            if position == len(wanted):
                return self._values(node)
            address = self._child(node, wanted[position])
            position += 1
        return ()

    def search_wild(self, key: str) -> tuple[IndexValue, ...]:
        """Return the values of all keys that, as patterns, match ``key``.

        Sorted by priority; of equal ones the last found comes first, as kmod's
        ``index_mm_searchwild`` has it.
        """
        wanted = os.fsencode(key)
        found: list[list[IndexValue]] = []
        position = 0
        address = self._root
        while address & ADDRESS:
            node = self._node(address)
            for byte in node.prefix:
                if byte in _WILD:
                    text = Text(wanted[position:])
                    rest = node.prefix[node.prefix.index(byte) :]
                    found.append(self._matching(text, node, text.feed_all(START, rest)))
                    return _by_priority(found)
                if wanted[position : position + 1] != bytes((byte,)):
                    return _by_priority(found)
                position += 1
            found.extend(self._below_wildcards(node, wanted[position:]))
            if position == len(wanted):
                found.append(list(reversed(self._values(node))))
                break
            address = self._child(node, wanted[position])
            position += 1
        return _by_priority(found)

    def items(self) -> Iterator[tuple[str, IndexValue]]:
        """Yield every key and value in the order of kmod's ``index_mm_dump``."""
        stack = [(self._root, b"")]
        for _ in self._bounded():
            if not stack:
                return
            address, key = stack.pop()
            if not address & ADDRESS:
                continue
            node = self._node(address)
            key += node.prefix
            name = os.fsdecode(key)
            for value in self._values(node):
                yield name, value
            stack.extend(
                (child, key + bytes((byte,)))
                for byte, child in reversed(tuple(self._children(node)))
            )

    def _below_wildcards(self, node: _Node, wanted: bytes) -> Iterator[list[IndexValue]]:
        for byte in b"*?[":
            if address := self._child(node, byte):
                text = Text(wanted)
                child = self._node(address)
                begin = text.feed_all(text.feed(START, byte), child.prefix)
                yield self._matching(text, child, begin)

    def _matching(self, text: Text, node: _Node, progress: MatchProgress) -> list[IndexValue]:
        """Collect the values in and below ``node`` whose pattern matches, the last found first."""
        found: list[IndexValue] = []
        stack = [(node, progress)]
        for _ in self._bounded():
            if not stack:
                break
            node, progress = stack.pop()
            if node.values and text.matched(progress):
                found.extend(reversed(self._values(node)))
            for byte, address in self._children(node):
                after = text.feed(progress, byte)
                if after.reached:
                    child = self._node(address)
                    stack.append((child, text.feed_all(after, child.prefix)))
        return found

    def _node(self, address: int) -> _Node:
        data = self._data
        position = address & ADDRESS
        prefix = b""
        first = count = table = 0
        try:
            if address & HAS_PREFIX:
                end = data.index(0, position)
                prefix = data[position:end]
                position = end + 1
            if address & HAS_CHILDREN:
                first = data[position]
                count = data[position + 1] - first + 1
                table = position + 2
                position = table + 4 * count
        except (IndexError, ValueError):
            raise self._damaged(address) from None
        if count < 0 or position > len(data):
            raise self._damaged(address)
        return _Node(prefix, first, count, table, position if address & HAS_VALUES else 0)

    def _child(self, node: _Node, byte: int) -> int:
        """Return the address of the child for ``byte``, or 0 when there is none."""
        place = byte - node.first
        if not 0 <= place < node.width:
            return 0
        (address,) = _WORD(self._data, node.table + 4 * place)
        return address if address & ADDRESS else 0

    def _children(self, node: _Node) -> Iterator[tuple[int, int]]:
        for byte in range(node.first, node.first + node.width):
            if address := self._child(node, byte):
                yield byte, address

    def _values(self, node: _Node) -> tuple[IndexValue, ...]:
        position = node.values
        if not position:
            return ()
        data = self._data
        found = []
        try:
            (count,) = _WORD(data, position)
            position += 4
            for _ in range(count):
                end = data.index(0, position + 4)
                value = os.fsdecode(data[position + 4 : end])
                found.append(IndexValue(_WORD(data, position)[0], value))
                position = end + 1
        except (ValueError, StructError):
            raise self._damaged(position) from None
        return tuple(found)

    def _bounded(self) -> Iterator[int]:
        """Count visits; a trie cannot have more nodes than words, else it runs in a circle."""
        yield from range(len(self._data) // 4 + 2)
        raise self._error("a tree of nodes", "nodes that contain themselves", 8)

    def _damaged(self, address: int) -> FormatError:
        return self._error("a node or value inside the file", "its end", address & ADDRESS)

    def _error(self, expected: str, found: str, offset: int | None = None) -> FormatError:
        return FormatError(expected, found, path=self.path, offset=offset, hint=_HINT)


def _by_priority(found: list[list[IndexValue]]) -> tuple[IndexValue, ...]:
    flat = [value for block in reversed(found) for value in block]
    flat.sort(key=lambda value: value.priority)
    return tuple(flat)
