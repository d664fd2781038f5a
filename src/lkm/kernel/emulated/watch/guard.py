"""Guarded memory: one object to a run of pages, an unmapped page behind, freed pages unmapped.

The pages are the kernel's own, got from its page allocator and used through its direct map, so that
the kernel can do with an object whatever it does with others (DMA addresses, scatter lists). Their
part of the direct map is split into small pages; mapping and unmapping is writing page-table
entries, and what catches a wrong access is the emulated MMU, at no cost to right ones.
"""

from __future__ import annotations

import operator
import random
import struct
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import unicorn

from lkm.kernel.emulated.hardware.memory import LARGE, PAGE, PRESENT
from lkm.kernel.emulated.hardware.processor import Processor
from lkm.kernel.emulated.watch.findings import Access, Allocation, FaultKind, Site

_ORDER = 10
BLOCK = PAGE << _ORDER
_BLOCKS = 4
TABLES = _BLOCKS * BLOCK // (2 << 20)
"""Page tables that a heap takes."""

_LARGE_PAGE, _LARGE_SHIFT = 2 << 20, 21
_FRAME = 0xFFFFFFFFFF000
_GLOBAL = 0x100
_WRITE_ERROR = 2
GFP_KERNEL = 0xCC0
_POISON = 0x6B


def _pattern() -> bytes:
    """Return what fresh memory holds: all places differ, and no word of it is an address."""
    page = bytearray(random.Random(PAGE).randbytes(PAGE))
    page[7::8] = bytes([_POISON]) * (PAGE // 8)
    return bytes(page)


_FRESH = _pattern()


@dataclass(frozen=True, slots=True)
class GuardedObject:
    """An object: its address and size, its first page and how many it has, who made it."""

    address: int
    size: int
    first: int
    pages: int
    allocation: Allocation
    freed: Site | None = None

    @property
    def end_of_pages(self) -> int:
        """Where the unmapped page begins."""
        return self.first + self.pages * PAGE


@dataclass(frozen=True, slots=True)
class Damage:
    """A wrong access: what kind, how, where, and to which object."""

    kind: FaultKind
    access: Access
    address: int
    target: GuardedObject
    found_at_free: bool = False


class GuardHeap:
    """Makes and frees guarded objects, and explains faults near them.

    ``alignment`` is what objects are aligned to, in bytes: 8, as kmalloc promises, leaves up to
    7 bytes behind an object that are only looked at when it is freed; 1 leaves none.
    """

    def __init__(
        self, processor: Processor, blocks: list[int], tables: int, alignment: int
    ) -> None:
        self._processor = processor
        self._alignment = alignment
        self._live: dict[int, GuardedObject] = {}
        self._dead: dict[int, GuardedObject] = {}
        self._by_page: dict[int, GuardedObject] = {}
        self._free: deque[tuple[int, int]] = deque((block, BLOCK // PAGE) for block in blocks)
        self._retired: dict[int, deque[int]] = {}
        self._blocks = blocks
        self._tables: dict[int, int] = {}
        for index, block in enumerate(blocks):
            self._split(block, tables + index * TABLES // _BLOCKS * PAGE)
        self.flush()

    def owns(self, address: int) -> bool:
        """Whether an address is in guarded memory."""
        return any(block <= address < block + BLOCK for block in self._blocks)

    def size_of(self, address: int) -> int | None:
        """Return the size of the live object at an address."""
        found = self._live.get(address)
        return found.size if found else None

    def object_at(self, address: int) -> GuardedObject | None:
        """Return the live object that an address is in."""
        found = self._by_page.get(address & -PAGE)
        if found is None or found.freed is not None:
            return None
        return found if found.address <= address < found.address + found.size else None

    def untouched(self, address: int, data: bytes) -> list[int]:
        """Return the lengths of the runs of at least two bytes that nobody wrote."""
        inside = address % PAGE
        fresh = (_FRESH * ((inside + len(data)) // PAGE + 1))[inside : inside + len(data)]
        if not any(map(operator.eq, data, fresh)):
            return []
        runs, length = [], 0
        for equal in (*map(operator.eq, data, fresh), False):
            if equal:
                length += 1
                continue
            if length > 1:
                runs.append(length)
            length = 0
        return runs

    def make(
        self,
        size: int,
        zeroed: bool,
        allocation: Callable[[int], Allocation],
        alignment: int = 0,
    ) -> int | None:
        """Return the address of a new object, or ``None`` when there is no room for it."""
        pages = max(-(-size // PAGE), 1)
        first = self._run(pages)
        if first is None:
            return None
        for page in range(first, first + pages * PAGE, PAGE):
            self._map(page, True)
        room = pages * PAGE
        address = (first + room - size) & -max(self._alignment, alignment)
        content = bytearray(_FRESH * pages)
        if zeroed:
            content[address - first : address - first + size] = bytes(size)
        self._processor.memory.write(first, bytes(content))
        made = GuardedObject(address, size, first, pages, allocation(address))
        self._dead = {k: v for k, v in self._dead.items() if v.first != first}
        self._live[address] = made
        for page in range(first, first + (pages + 1) * PAGE, PAGE):
            self._by_page[page] = made
        return address

    def free(self, address: int, site: Site) -> Damage | None:
        """Unmap an object; return what was wrong about it or about freeing it."""
        found = self._live.pop(address, None)
        if found is None:
            return self._wrong_free(address)
        damage = self._damage_around(found)
        gone = GuardedObject(
            found.address, found.size, found.first, found.pages, found.allocation, site
        )
        self._dead[address] = gone
        for page in range(found.first, found.end_of_pages, PAGE):
            self._map(page, False)
            self._by_page[page] = gone
        self._by_page[found.end_of_pages] = gone
        self._retired.setdefault(found.pages, deque()).append(found.first)
        self.flush()
        return damage

    def explain(self, address: int, error_code: int) -> Damage | None:
        """Return what a page fault at ``address`` means, if it is in guarded memory."""
        if not self.owns(address):
            return None
        target = self._by_page.get(address & -PAGE)
        if target is None:
            return None
        access = Access.WRITE if error_code & _WRITE_ERROR else Access.READ
        inside = target.first <= address < target.end_of_pages
        kind = FaultKind.USE_AFTER_FREE if target.freed and inside else FaultKind.OVERFLOW
        return Damage(kind, access, address, target)

    def flush(self) -> None:
        """Forget cached translations of addresses."""
        uc = self._processor.uc
        uc.ctl(unicorn.UC_CTL_TLB_FLUSH, unicorn.UC_CTL_IO_WRITE)

    def _wrong_free(self, address: int) -> Damage | None:
        target = self._dead.get(address)
        if target is not None:
            return Damage(FaultKind.DOUBLE_FREE, Access.FREE, address, target)
        target = self._by_page.get(address & -PAGE)
        if target is None:
            return None
        return Damage(FaultKind.INVALID_FREE, Access.FREE, address, target)

    def _damage_around(self, found: GuardedObject) -> Damage | None:
        content = self._processor.memory.read(found.first, found.pages * PAGE)
        fresh = _FRESH * found.pages
        start = found.address - found.first
        end = start + found.size
        if content[end:] != fresh[end:]:
            index = next(at for at in range(end, len(fresh)) if content[at] != fresh[at])
            return Damage(FaultKind.OVERFLOW, Access.WRITE, found.first + index, found, True)
        if content[:start] != fresh[:start]:
            index = next(at for at in range(start - 1, -1, -1) if content[at] != fresh[at])
            return Damage(FaultKind.UNDERFLOW, Access.WRITE, found.first + index, found, True)
        return None

    def _run(self, pages: int) -> int | None:
        """Return the first of ``pages`` pages that have another behind them."""
        need = pages + 1
        while self._free:
            start, count = self._free[0]
            if count >= need:
                self._free[0] = (start + need * PAGE, count - need)
                return start
            self._free.popleft()
        retired = self._retired.get(pages)
        return retired.popleft() if retired else None

    def _split(self, block: int, tables: int) -> None:
        """Map a block of the direct map by small pages, none of them present."""
        memory, uc = self._processor.memory, self._processor.uc
        for number, start in enumerate(range(block, block + BLOCK, _LARGE_PAGE)):
            at, value = memory.slot(start, _LARGE_SHIFT)
            if not value & LARGE:
                table = value & _FRAME
                there = struct.unpack("<512Q", uc.mem_read(table, PAGE))
                entries: Iterable[int] = (entry & ~PRESENT for entry in there)
            else:
                table = tables + number * PAGE
                flags = value & 0xFFF & ~LARGE & ~_GLOBAL | value & 1 << 63
                base = value & _FRAME & -_LARGE_PAGE
                entries = (base + page * PAGE | flags & ~PRESENT for page in range(512))
                uc.mem_write(at, struct.pack("<Q", table | value & 0xF63 & ~LARGE))
            uc.mem_write(table, struct.pack("<512Q", *entries))
            self._tables[start] = table

    def _map(self, page: int, present: bool) -> None:
        at = self._tables[page & -_LARGE_PAGE] + 8 * (page >> 12 & 511)
        value = self._processor.memory.physical_u64(at) & ~PRESENT
        self._processor.uc.mem_write(at, struct.pack("<Q", value | PRESENT if present else value))


def blocks(call_kernel: Callable[..., int], allocate: int) -> list[int]:
    """Return the addresses of some large runs of pages, fewer when memory is short."""
    got = (call_kernel(allocate, GFP_KERNEL, _ORDER) for _ in range(_BLOCKS))
    return [address for address in got if address]
