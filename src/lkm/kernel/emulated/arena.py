"""PID 1's user memory, for the buffers of its system calls."""

from __future__ import annotations

from dataclasses import dataclass

import unicorn

from lkm.errors import UsageError
from lkm.kernel.emulated.hardware.memory import PAGE

SIZE = 8 << 20
_ALIGNMENT = 16


@dataclass(frozen=True, slots=True)
class ArenaState:
    """Where the arena is: its virtual address and the physical ones of its pages."""

    address: int
    pages: tuple[int, ...]


class Arena:
    """One populated and locked mapping; its physical pages are known, so access is direct."""

    def __init__(self, uc: unicorn.Uc, ram: memoryview, state: ArenaState) -> None:
        self._uc = uc
        self._ram = ram
        self._state = state
        self._used = 0

    def clear(self) -> None:
        """Forget what was put."""
        self._used = 0

    def reserve(self, size: int) -> int:
        """Return the user address of ``size`` bytes that stay ours until ``clear``."""
        start = self._used
        if start + size > SIZE:
            raise UsageError(
                f"{size} bytes in one system call; the emulated machine takes {SIZE - start}"
            )
        self._used = -(-(start + size) // _ALIGNMENT) * _ALIGNMENT
        return self._state.address + start

    def put(self, data: bytes) -> int:
        """Copy ``data`` in and return its user address."""
        address = self.reserve(len(data))
        done = 0
        while done < len(data):
            at, room = self._place(address + done)
            self._uc.mem_write(at, bytes(data[done : done + room]))
            done += room
        return address

    def text(self, value: str) -> int:
        """Copy a NUL-terminated text in and return its user address."""
        return self.put(value.encode("utf-8", "surrogateescape") + b"\0")

    def get(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes from a user address."""
        parts = []
        while size > 0:
            at, room = self._place(address)
            room = min(room, size)
            parts.append(bytes(self._ram[at : at + room]))
            address += room
            size -= room
        return b"".join(parts)

    def _place(self, address: int) -> tuple[int, int]:
        page, inside = divmod(address - self._state.address, PAGE)
        return self._state.pages[page] + inside, PAGE - inside
