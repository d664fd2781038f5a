"""The machine's memory as its processor sees it: physical, and virtual through the page tables.

Source: Intel SDM volume 3, 4.5 "4-level paging".
"""

from __future__ import annotations

import struct

import unicorn
from unicorn import x86_const as x86

from lkm.kernel.emulated.hardware.death import NotMapped

PAGE = 4096
PRESENT, WRITABLE, LARGE = 1, 2, 0x80
_FRAME = 0xFFFFFFFFFF000
_SHIFTS = (39, 30, 21, 12)
_U64, _U32 = struct.Struct("<Q"), struct.Struct("<I")
MASK = 2**64 - 1


class MachineMemory:
    """Reads and writes the memory of ``uc``; ``ram`` is the same memory as the host sees it.

    Reads go to ``ram`` directly. Writes go through Unicorn, which then forgets what it had
    translated from the bytes that change.
    """

    def __init__(self, uc: unicorn.Uc, ram: memoryview) -> None:
        self._uc = uc
        self.ram = ram

    def slot(self, address: int, level: int) -> tuple[int, int]:
        """Return where the page-table entry of an address at one level lies, and its value.

        ``level`` is the shift of what the entry maps (21: 2 MiB). Raises ``NotMapped`` when a
        level above is not present.
        """
        table = self._uc.reg_read(x86.UC_X86_REG_CR3) & _FRAME
        for shift in _SHIFTS:
            at = table + 8 * (address >> shift & 511)
            value = self.physical_u64(at)
            if shift == level:
                return at, value
            if not value & PRESENT or value & LARGE:
                raise NotMapped(address)
            table = value & _FRAME
        raise AssertionError("level is one of the four")

    def physical_u64(self, at: int) -> int:
        """Return the 8-byte number at a physical address."""
        if at + 8 <= len(self.ram):
            value: int = _U64.unpack_from(self.ram, at)[0]
            return value
        return int.from_bytes(self._uc.mem_read(at, 8), "little")

    def entry(self, address: int, root: int | None = None) -> tuple[int, int, int]:
        """Return the page-table entry of an address: where it lies, its value, its page's shift.

        Raises ``NotMapped`` when an entry on the way is not present.
        """
        if root is None:
            root = self._uc.reg_read(x86.UC_X86_REG_CR3)
        table = root & _FRAME
        for shift in _SHIFTS:
            at = table + 8 * (address >> shift & 511)
            value = self.physical_u64(at)
            if not value & PRESENT:
                raise NotMapped(address)
            if shift == 12 or (shift < 39 and value & LARGE):
                return at, value, shift
            table = value & _FRAME
        raise AssertionError("the last level returns")

    def physical(self, address: int, root: int | None = None) -> int:
        """Return the physical address of a virtual one."""
        _, value, shift = self.entry(address, root)
        inside = (1 << shift) - 1
        return (value & _FRAME & ~inside) | (address & inside)

    def mapped(self, address: int) -> bool:
        """Return whether a virtual address is mapped."""
        try:
            self.entry(address)
        except NotMapped:
            return False
        return True

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes at a virtual address."""
        parts = []
        while size:
            count = min(size, PAGE - address % PAGE)
            at = self.physical(address)
            inside = at + count <= len(self.ram)
            parts.append(
                bytes(self.ram[at : at + count] if inside else self._uc.mem_read(at, count))
            )
            address += count
            size -= count
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> None:
        """Write at a virtual address, whatever the page's protection."""
        done = 0
        while done < len(data):
            count = min(len(data) - done, PAGE - (address + done) % PAGE)
            self._uc.mem_write(self.physical(address + done), data[done : done + count])
            done += count

    def u64(self, address: int) -> int:
        """Return the 8-byte number at a virtual address."""
        value: int = _U64.unpack(self.read(address, 8))[0]
        return value

    def u32(self, address: int) -> int:
        """Return the 4-byte number at a virtual address."""
        value: int = _U32.unpack(self.read(address, 4))[0]
        return value

    def write_u64(self, address: int, value: int) -> None:
        """Write an 8-byte number at a virtual address."""
        self.write(address, _U64.pack(value & MASK))

    def string(self, address: int, limit: int = 4096) -> bytes:
        """Return the bytes up to a NUL (not included), at most ``limit``."""
        found = b""
        while len(found) < limit:
            chunk = self.read(address + len(found), 64 - (address + len(found)) % 64)
            text, nul, _ = chunk.partition(b"\0")
            found += text
            if nul:
                break
        return found[:limit]


def signed(value: int) -> int:
    """Return a 64-bit number as a signed one."""
    return value - 2**64 if value >> 63 else value
