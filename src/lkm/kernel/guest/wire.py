"""The messages between us and the agent in a virtual machine.

A message is two little-endian 32-bit lengths, a JSON text and a block of bytes. In the text, an
object ``{"bytes": [OFFSET, LENGTH]}`` stands for a piece of the block.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

from lkm.errors import FormatError

HEADER = struct.Struct("<II")
LARGEST = 1 << 30
"""Bytes in one part of a message; more is taken for a broken channel."""


def encode(value: Any) -> bytes:
    """Return the message that carries ``value``: JSON's types, and bytes anywhere in it."""
    block = bytearray()

    def place(data: Any) -> dict[str, list[int]]:
        position = [len(block), len(data)]
        block.extend(data)
        return {"bytes": position}

    text = json.dumps(_mapped(value, place)).encode("ascii")
    return HEADER.pack(len(text), len(block)) + text + block


def _mapped(value: Any, place: Callable[[Any], Any]) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return place(value)
    if isinstance(value, (list, tuple)):
        return [_mapped(item, place) for item in value]
    if isinstance(value, dict):
        return {key: _mapped(item, place) for key, item in value.items()}
    return value


def receive(
    read_exactly: Callable[[int], bytes],
    *,
    path: str = "the channel",
    most_text: int = LARGEST,
    most_bytes: int = LARGEST,
) -> Any:
    """Read one message; ``read_exactly(n)`` returns n bytes or raises.

    Raises FormatError, which names ``path``, for a message that is none, or whose text or block
    has more bytes than ``most_text`` and ``most_bytes``. The pieces follow each other in the block,
    as ``encode`` writes them: what comes out is never larger than what came in.
    """
    text_size, block_size = HEADER.unpack(read_exactly(HEADER.size))
    if text_size > most_text or block_size > most_bytes:
        expected = f"a message of at most {most_text} and {most_bytes} bytes"
        raise FormatError(expected, f"{text_size} and {block_size}", path=path)
    text = read_exactly(text_size)
    pieces = _Pieces(read_exactly(block_size))
    try:
        value = json.loads(text, object_hook=pieces.placed, parse_constant=_refused)
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError("JSON", repr(text[:40]), path=path) from error
    if pieces.rest:
        raise FormatError("a block that is used", f"{pieces.rest} bytes more", path=path)
    return value


class _Pieces:
    """The block of a message, handed out from its beginning to its end."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._taken = 0

    @property
    def rest(self) -> int:
        return len(self._block) - self._taken

    def placed(self, item: dict[str, Any]) -> Any:
        if item.keys() != {"bytes"}:
            return item
        offset, length = item["bytes"]
        if type(offset) is not int or type(length) is not int:
            raise TypeError
        if offset != self._taken or not 0 <= length <= self.rest:
            raise ValueError("a piece that is not the next of the block")
        self._taken += length
        return self._block[offset : self._taken]


def _refused(word: str) -> Any:
    raise ValueError(word)
