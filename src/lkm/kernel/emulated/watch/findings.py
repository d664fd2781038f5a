"""Findings about a module that runs: allocations, faults, calls; frozen facts."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the code: ``offset`` bytes into ``function``.

    In the module under test, ``section`` and ``section_offset`` say where the instruction lies in
    the file, so that debug data can name its line; for a place in the kernel they are empty and 0.
    """

    function: str
    offset: int
    section: str = ""
    section_offset: int = 0

    def __str__(self) -> str:
        return f"{self.function}+{self.offset:#x}"


@dataclass(frozen=True, slots=True)
class Allocation:
    """One allocation by the module; ``number`` counts from 1 in the order they were made.

    ``function`` is the kernel's allocator, ``site`` the call in the module. ``size`` is in bytes,
    ``None`` where the allocator is not told one. ``address`` is 0 when it failed, ``forced``
    whether it was made to.
    """

    number: int
    function: str
    site: Site
    size: int | None
    address: int
    forced: bool = False


class FaultKind(enum.StrEnum):
    """The kind of a wrong access to memory."""

    OVERFLOW = "overflow"
    UNDERFLOW = "underflow"
    USE_AFTER_FREE = "use-after-free"
    DOUBLE_FREE = "double-free"
    INVALID_FREE = "invalid-free"


class Access(enum.StrEnum):
    """How."""

    READ = "read"
    WRITE = "write"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class MemoryFault:
    """A wrong access to memory that the module allocated.

    ``address`` was accessed, ``offset`` bytes from the object's start. ``site`` is the instruction;
    ``caller`` the call in the module that led to it when the instruction is the kernel's. When
    ``found_at_free`` only the damage was seen, later, at ``site``, where the object was freed.
    """

    kind: FaultKind
    access: Access
    address: int
    offset: int
    site: Site
    caller: Site | None
    allocation: Allocation | None
    freed: Site | None = None
    found_at_free: bool = False


class KernelRule(enum.StrEnum):
    """A rule of the kernel that a module broke."""

    ATOMIC_SLEEP = "sleep"
    DEADLOCK = "deadlock"
    LOCK_ORDER = "lock order"
    LOCK_CONTEXT = "lock context"
    LOCK_HELD = "lock held"
    STRAY_UNLOCK = "stray unlock"
    USER_POINTER = "user pointer"
    INIT_MEMORY = "init memory"
    UNLOADED = "unloaded"
    UNINITIALISED = "uninitialised"
    INFORMATION_LEAK = "information leak"
    LEFT_BEHIND = "left behind"


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A rule that was broken: what happened in words, and at which place of the module.

    ``related`` are other places that belong to it, each with what happened there.
    """

    rule: KernelRule
    words: str
    site: Site | None
    related: tuple[tuple[str, Site], ...] = ()


@dataclass(frozen=True, slots=True)
class CallArgument:
    """One argument of a call: its name and C type, its value, and the text it points to."""

    name: str
    type: str
    value: int
    text: str | None = None


@dataclass(frozen=True, slots=True)
class TracedCall:
    """One call of the module into the kernel or another module.

    ``result`` is ``None`` for a function that returns nothing, or that did not return;
    ``result_type`` is its C type. ``prototype_known`` is false where the kernel does not describe
    the function; then there are no arguments.
    """

    number: int
    function: str
    site: Site
    arguments: tuple[CallArgument, ...]
    result: int | None
    result_type: str
    prototype_known: bool
