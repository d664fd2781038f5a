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


def receive(read_exactly: Callable[[int], bytes]) -> Any:
    """Read one message; ``read_exactly(n)`` returns n bytes or raises; FormatError if none."""
    text_size, block_size = HEADER.unpack(read_exactly(HEADER.size))
    if text_size > LARGEST or block_size > LARGEST:
        raise FormatError("a message length", f"{text_size} and {block_size}", path="the channel")
    text = read_exactly(text_size)
    block = read_exactly(block_size)
    try:
        return json.loads(text, object_hook=lambda item: _placed(item, block))
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError("JSON", repr(text[:40]), path="the channel") from error


def _placed(item: dict[str, Any], block: bytes) -> Any:
    if item.keys() != {"bytes"}:
        return item
    offset, length = item["bytes"]
    return block[offset : offset + length]
