"""Context managers that are closed, with or without a block."""

from __future__ import annotations

import abc
import contextlib
from types import TracebackType
from typing import Self

from lkm.kernel.syscalls import Syscalls


class Closing(abc.ABC):
    """A resource that a ``with`` block closes at its end; or call ``close``."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give back what is held; it cannot be used after this."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Watch(Closing):
    """Something read from a descriptor of a kernel, from when this is made until it is closed.

    Where the descriptor cannot be had (``None``), a watch sees nothing rather than fail: it
    accompanies other work, whose own result matters more.
    """

    def __init__(self, syscalls: Syscalls) -> None:
        self._syscalls = syscalls
        self._descriptor: int | None = None

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):
                self._syscalls.close(descriptor)
