"""The requests a kernel makes of user space by executing modprobe, and who answers them.

Source: ``kernel/module/kmod.c: call_modprobe`` (``/sbin/modprobe -q -- NAME``).

The kernel may run code of any origin: what it asks for is a name or an alias and never a path, and
how often it asks, for how much, and what answering takes is limited.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lkm.errors import LkmError, UnsupportedError

_OPTIONS_END = "--"
_MOST_WORDS = 16
_LONGEST_NAME = 255  # the kernel's own are at most 55: MODULE_NAME_LEN, include/linux/module.h


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
class ModuleRequest:
    """One request of the kernel: what it executed, and the result of each load."""

    argv: tuple[str, ...]
    loaded: list[tuple[str, int]] = field(default_factory=list)
    error: str = ""

    @property
    def name(self) -> str:
        """What was asked for: the first word after ``--``; empty when there is none."""
        after = self.argv.index(_OPTIONS_END) + 1 if _OPTIONS_END in self.argv else -1
        return next(iter(self.argv[after:]), "")


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one machine's kernel may ask for in all: requests, modules, their ``size`` in bytes,
    and the ``seconds`` it may take to look them up."""

    requests: int = 1000
    modules: int = 1000
    size: int = 256 << 20
    seconds: float = 30.0


class RequestDesk:
    """Takes a kernel's requests and answers them from ``provider``, within limits.

    ``requests`` are those taken; ``ignored`` counts those beyond the limit, which fail.
    """

    def __init__(self, limits: RequestLimits | None = None) -> None:
        self.provider: Provider | None = None
        self.limits = limits or RequestLimits()
        self.requests: list[ModuleRequest] = []
        self.ignored = 0
        self._modules = self._size = 0
        self._seconds = 0.0

    def clear(self) -> None:
        """Forget what was asked for, as the kernel has that is rewound."""
        self.requests.clear()
        self.ignored = self._modules = self._size = 0
        self._seconds = 0.0

    def take(self, argv: Sequence[str]) -> ModuleRequest:
        """Note a request; one too many is not kept, and has its ``error`` set."""
        request = ModuleRequest(tuple(word[: _LONGEST_NAME + 1] for word in argv[:_MOST_WORDS]))
        if len(self.requests) < self.limits.requests:
            self.requests.append(request)
        else:
            self.ignored += 1
            request.error = f"the kernel has asked {self.limits.requests} times already"
        return request

    def answer(self, request: ModuleRequest) -> Sequence[Insertion]:
        """Return what to load for a request; nothing, and its ``error`` set, when it is refused."""
        if self.provider is None or request.error:
            return ()
        started = time.monotonic()
        try:
            check_name(request.name)
            found = self.provider(request.name)
            self._count(found)
        except (LkmError, OSError, ValueError) as error:
            request.error = str(error)
            return ()
        finally:
            self._seconds += time.monotonic() - started
        return found

    def _count(self, found: Sequence[Insertion]) -> None:
        self._modules += len(found)
        self._size += sum(len(module.image) for module in found)
        limits = self.limits
        for what, used, limit in (
            ("modules", self._modules, limits.modules),
            ("bytes of modules", self._size, limits.size),
            ("seconds of looking up", self._seconds, limits.seconds),
        ):
            if used > limit:
                raise UnsupportedError(f"the kernel has asked for more than {limit:g} {what}")


def check_name(name: str) -> None:
    """Raise UnsupportedError for what a kernel may not ask for: a path, or no name at all."""
    if not name or len(name) > _LONGEST_NAME or "\0" in name:
        raise UnsupportedError(f"the kernel asked for {name[:80]!r}, which is no module's name")
    if name.startswith(("/", ".")):
        raise UnsupportedError(f"the kernel asked for {name!r}: a path, where names are answered")


class RequestProgress:
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
