"""Exported symbols by name, made into values only when asked for.

A kernel and its modules export 25,000 symbols; a module needs fifty of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

_Default = TypeVar("_Default")


@dataclass(frozen=True, slots=True)
class Offer:
    """An exported symbol: ``owner`` is the module that has it, "" the kernel.

    ``crc`` is ``None`` where there are no symbol versions, or they could not be read.
    """

    gpl: bool
    namespace: str
    crc: int | None
    owner: str = ""


Fields = tuple[bool, str, int | None]
"""GPL only, namespace, checksum."""


class KernelOffers(Mapping[str, Offer]):
    """The symbols that the kernel itself exports, over plain tuples."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Fields]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> Offer:
        return Offer(*self._fields[name])

    def get(self, name: str, default: _Default = None) -> Offer | _Default:  # type: ignore[assignment]
        """Return the offer of a symbol."""
        found = self._fields.get(name)
        return default if found is None else Offer(*found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return name in self._fields


class TreeOffers(Mapping[str, Sequence[Offer]]):
    """The symbols that a tree's modules export: for each, the modules that have it."""

    __slots__ = ("_owners",)

    def __init__(self, owners: Mapping[str, Sequence[tuple[str, Fields]]]) -> None:
        self._owners = owners

    def __getitem__(self, name: str) -> Sequence[Offer]:
        return [Offer(*fields, owner) for owner, fields in self._owners[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._owners)

    def __len__(self) -> int:
        return len(self._owners)

    def __contains__(self, name: object) -> bool:
        return name in self._owners
