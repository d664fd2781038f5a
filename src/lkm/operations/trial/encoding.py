"""Events as JSON: the same for ``lkm try --json``, the page and recorded runs.

An event is an object: its class's name as ``event`` (``KernelReady``: ``kernel-ready``), then its
fields. Addresses are hexadecimal strings, bytes too; tuples arrays; enumerations their value.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import os
import re
from typing import Any, get_type_hints

from lkm.operations.trial.events import Address


@functools.cache
def event_name(class_name: str) -> str:
    """Return the name by which events of a class are known."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", class_name).lower()


_ADDRESSES: dict[type, frozenset[str]] = {}


def address_fields(kind: type) -> frozenset[str]:
    """Return the fields of a dataclass that are addresses."""
    if kind not in _ADDRESSES:
        _ADDRESSES[kind] = _read_address_fields(kind)
    return _ADDRESSES[kind]


def _read_address_fields(kind: type) -> frozenset[str]:
    hints = get_type_hints(kind, include_extras=True)
    return frozenset(name for name, hint in hints.items() if hint == Address)


def document(event: object) -> dict[str, Any]:
    """Return an event as what JSON can hold."""
    return {"event": event_name(type(event).__name__), **_fields(event)}


def encoded(value: dict[str, Any]) -> str:
    """Return a document as one line of JSON, without its end."""
    import msgspec  # costs start-up time, which text output need not pay

    return msgspec.json.encode(value).decode()


def plain(value: Any) -> Any:
    """Return a value of dataclasses, collections and scalars as what JSON can hold."""
    if isinstance(value, enum.Enum):
        return value.value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return _text(value)
    if dataclasses.is_dataclass(value):
        return _fields(value)
    if isinstance(value, dict):
        return {_text(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, os.PathLike):
        return _text(os.fspath(value))
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _fields(value: Any) -> dict[str, Any]:
    addresses = address_fields(type(value))
    return {
        field.name: f"{item:#x}" if field.name in addresses else plain(item)
        for field in dataclasses.fields(value)
        for item in (getattr(value, field.name),)
    }


def _text(text: str) -> str:
    """Return a text without what is no Unicode."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
