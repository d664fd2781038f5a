"""Where a kernel puts a module: sections, pages, permissions; what it writes, what goes."""

from __future__ import annotations

from dataclasses import dataclass

from lkm.operations.trial.events import Address


@dataclass(frozen=True, slots=True)
class PlacedSection:
    """A section where the kernel put it."""

    name: str
    address: Address
    size: int
    group: str


@dataclass(frozen=True, slots=True)
class PageRun:
    """Pages in a row with equal permissions, and the sections in them."""

    address: Address
    count: int
    permissions: str
    sections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A module's memory at a moment: ``linked``, ``protected`` (before init) or ``live``."""

    module: str
    moment: str
    sections: tuple[PlacedSection, ...]
    pages: tuple[PageRun, ...]


@dataclass(frozen=True, slots=True)
class Relocated:
    """A place the kernel's linker wrote to: bytes (hexadecimal) before and after."""

    section: str
    place: Address
    address: Address
    type: str
    symbol: str
    value: Address
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class FreedPages:
    """Pages in a row that were given back."""

    address: Address
    count: int


@dataclass(frozen=True, slots=True)
class MemoryFreed:
    """What went after init: pages that are no longer mapped as before."""

    pages: tuple[FreedPages, ...]
    bytes: int
