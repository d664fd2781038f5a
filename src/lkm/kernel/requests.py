"""What a kernel asks user space for by executing modprobe, and who answers.

Source: ``kernel/module/kmod.c: call_modprobe`` (``/sbin/modprobe -q -- NAME``).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_OPTIONS_END = "--"


@dataclass(frozen=True, slots=True)
class Insertion:
    """A module to load: its name, its uncompressed bytes, its parameters.

    ``target`` is the module for whose sake it is loaded, one of those that an alias stands for.
    A failure ends its target, unless it is not ``required``.
    """

    name: str
    image: bytes
    parameters: str = ""
    target: str = ""
    required: bool = True


Provider = Callable[[str], Sequence[Insertion]]
"""Turns the name or alias that the kernel asks for into modules, in load order."""


@dataclass(slots=True)
class Request:
    """One request of the kernel: what it executed, and the result of each load."""

    argv: tuple[str, ...]
    loaded: list[tuple[str, int]] = field(default_factory=list)
    error: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What was asked for."""
        if _OPTIONS_END in self.argv:
            return self.argv[self.argv.index(_OPTIONS_END) + 1 :]
        return self.argv[-1:]


class Progress:
    """Which insertions are still to be made, and modprobe's exit status: that of the last target.

    Source: kmod's ``tools/modprobe.c: insmod``.
    """

    def __init__(self) -> None:
        self.status = 1
        self._failed: str | None = None

    def wants(self, target: str) -> bool:
        """Whether what is loaded for the sake of ``target`` is still wanted."""
        return target != self._failed

    def note(self, target: str, required: bool, result: int) -> None:
        """Take note of a load's result: 0 or more, or a negative errno or signal."""
        failed = required and result < 0 and result != -errno.EEXIST
        self._failed = target if failed else None
        self.status = int(failed)
