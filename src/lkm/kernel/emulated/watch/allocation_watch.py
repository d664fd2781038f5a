"""The memory that a module asks for: failing it, guarding it, pairing it with what gives it back.

Asking is seen at the module's own calls; giving back in the kernel's functions, whoever calls them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from unicorn import x86_const as x86

from lkm.errors import LkmError
from lkm.kernel.emulated.hardware.death import NotMapped
from lkm.kernel.emulated.watch import allocators
from lkm.kernel.emulated.watch.allocators import Allocator
from lkm.kernel.emulated.watch.call_sites import CallSite
from lkm.kernel.emulated.watch.checks import Check, Scene
from lkm.kernel.emulated.watch.findings import Allocation, MemoryFault, Site
from lkm.kernel.emulated.watch.guard import Damage, GuardHeap

_ERROR_POINTERS = 2**64 - 4096
_ZERO_SIZE_POINTER = 16
_TYPESAFE_BY_RCU = 0x80000
_LONGEST = 1 << 20


class AllocationWatch(Check):
    """Allocations of one module; with a heap, its objects lie on guarded pages.

    ``sleeps`` is told of each allocation: its flags, its function, its place.
    """

    def __init__(
        self,
        scene: Scene,
        heap: GuardHeap | None,
        sleeps: Callable[[int, str, Site], None] | None = None,
    ) -> None:
        super().__init__(scene)
        self._heap = heap
        self._sleeps = sleeps
        self._known: dict[str, Allocator | None] = {}
        self.live: dict[int, Allocation] = {}
        self.made: list[Allocation] = []
        self.faults: list[MemoryFault] = []
        self.failing: set[int] = set()
        self.unguarded = 0
        self._wanted = False

    def concerns(self, function: str) -> bool:
        """Whether it allocates, or frees later."""
        frees = function in allocators.FREES or function == allocators.DEFERRED_FREE
        concerned = frees or self._allocator(function) is not None
        self._wanted = self._wanted or concerned
        return concerned

    def attach(self) -> None:
        """Stand at the functions that give memory back, if the module asks for any."""
        if not self._wanted:
            return
        for name, position in allocators.FREES.items():
            slab = name in allocators.SLAB_FREES
            self.scene.watch(name, self._freeing(position, slab))
        if self._heap is not None:
            for name in allocators.SIZES:
                self.scene.watch(name, self._size_asked)

    def called(self, call: CallSite, site: Site) -> None:
        """Handle an allocation of the module."""
        found = self._allocator(call.function)
        if found is not None:
            self._allocate(call.function, site, found)
        elif call.function == allocators.DEFERRED_FREE:
            self._deferred_free()

    def page_fault(self, address: int, error_code: int) -> None:
        """Explain a fault in guarded memory."""
        if self._heap is None:
            return
        damage = self._heap.explain(address, error_code)
        if damage is not None:
            self._report(damage, self.scene.places.here())

    def _allocator(self, function: str) -> Allocator | None:
        if function not in self._known:
            self._known[function] = allocators.allocator(function, self.scene.kernel.btf)
        return self._known[function]

    def _allocate(self, function: str, site: Site, rule: Allocator) -> None:
        scene = self.scene
        size = scene.argument(rule.size) if rule.size is not None else None
        flags = scene.argument(rule.flags) if rule.flags is not None else 0
        if self._sleeps is not None and rule.flags is not None:
            self._sleeps(flags, rule.name, site)
        number = len(self.made) + 1
        made = Allocation(number, function, site, size, 0)
        if number in self.failing and not flags & allocators.NO_FAIL:
            self.made.append(replace(made, forced=True))
            scene.steering.leave(rule.failure)
            return
        self.made.append(made)
        zeroed = bool(flags & allocators.ZERO)
        if self._heap is not None and rule.guarded and size:
            self._guarded(made, size, zeroed, rule)
            return
        if self._heap is not None and rule.name in allocators.FROM_CACHE:
            taken = self._of_cache(scene.argument(0))
            if taken is not None:
                self._guarded(replace(made, size=taken[0]), taken[0], zeroed, rule, taken[1])
                return
        old = scene.argument(0) if rule.name in allocators.REALLOCATE else 0
        if self._heap is not None and old and size and self._heap.size_of(old) is not None:
            self._reallocate(made, old, size, rule)
            return
        if self._heap is not None and rule.name in allocators.COPYING:
            scene.on_return(lambda address: self._adopt(made, address, rule))
            return
        scene.on_return(lambda address: self._allocated(made, address, rule, old))

    def _of_cache(self, cache: int) -> tuple[int, int] | None:
        """Return size and alignment of the objects of a cache that the module made."""
        owned = self.live.get(cache)
        if owned is None or not self._makes_cache(owned.function):
            return None
        try:
            where = [
                self.scene.kernel.btf.offset("kmem_cache", member)
                for member in ("object_size", "align", "flags", "ctor")
            ]
        except LkmError:
            return None
        size, align, flags = (self.scene.u32(cache + at) for at in where[:3])
        if not size or flags is None or flags & _TYPESAFE_BY_RCU:
            return None
        return None if self.scene.u64(cache + where[3]) else (size, align or 8)

    @staticmethod
    def _makes_cache(function: str) -> bool:
        return function.removesuffix("_noprof") in allocators.MAKES_CACHE

    def _guarded(
        self, made: Allocation, size: int, zeroed: bool, rule: Allocator, alignment: int = 0
    ) -> None:
        assert self._heap is not None
        address = self._heap.make(size, zeroed, lambda at: replace(made, address=at), alignment)
        if address is None:
            self.unguarded += 1
            self.scene.on_return(lambda at: self._allocated(made, at, rule, 0))
            return
        self._allocated(made, address, rule, 0)
        self.scene.steering.leave(address)

    def _adopt(self, made: Allocation, address: int, rule: Allocator) -> None:
        """Move what the kernel made for the module to guarded memory.

        The kernel's own copy stays allocated; nobody will miss it in this machine.
        """
        assert self._heap is not None
        if not _ZERO_SIZE_POINTER < address < _ERROR_POINTERS:
            return
        memory, guarded = self.scene.processor.memory, None
        with contextlib.suppress(NotMapped):
            size = made.size or len(memory.string(address, _LONGEST)) + 1
            content = memory.read(address, size)
            made = replace(made, size=size)
            guarded = self._heap.make(size, False, lambda at: replace(made, address=at))
        if guarded is None:
            self.unguarded += 1
            self._allocated(made, address, rule, 0)
            return
        memory.write(guarded, content)
        self.scene.processor.uc.reg_write(x86.UC_X86_REG_RAX, guarded)
        self._allocated(made, guarded, rule, 0)

    def _reallocate(self, made: Allocation, old: int, size: int, rule: Allocator) -> None:
        """Do for a guarded object what krealloc does, which knows nothing of it."""
        assert self._heap is not None
        memory = self.scene.processor.memory
        address = self._heap.make(size, False, lambda at: replace(made, address=at))
        if address is None:
            self.scene.steering.leave(0)
            return
        memory.write(address, memory.read(old, min(self._heap.size_of(old) or 0, size)))
        damage = self._heap.free(old, made.site)
        if damage is not None:
            self._report(damage, made.site)
        self._allocated(made, address, rule, old)
        self.scene.steering.leave(address)

    def _allocated(self, made: Allocation, address: int, rule: Allocator, old: int) -> None:
        if not _ZERO_SIZE_POINTER < address < _ERROR_POINTERS:
            return
        done = replace(made, address=address)
        self.made[made.number - 1] = done
        if old:
            self.live.pop(old, None)
        if rule.tracked:
            self.live[address] = done

    def _deferred_free(self) -> None:
        """kvfree_call_rcu(head, pointer), or (head, offset of head in the object) before 6.4."""
        head, pointer = self.scene.argument(0), self.scene.argument(1)
        address = head - pointer if pointer < 4096 else pointer
        self.live.pop(address, None)
        if self._heap is not None and self._heap.owns(address):
            self.scene.steering.leave(0)  # it stays mapped: readers may still be there

    def _size_asked(self) -> None:
        assert self._heap is not None
        size = self._heap.size_of(self.scene.argument(0))
        if size is not None:
            self.scene.steering.leave(size)

    # Freeing, by whomever

    def _freeing(self, position: int, slab: bool) -> Callable[[], None]:
        def entered() -> None:
            address = self.scene.argument(position)
            self.live.pop(address, None)
            if self._heap is None or not slab or not self._heap.owns(address):
                return
            places = self.scene.places
            damage = self._heap.free(address, places.caller() or places.here())
            if damage is not None:
                self._report(damage, places.here())
            self.scene.steering.leave(0)

        return entered

    def _report(self, damage: Damage, here: Site) -> None:
        target = damage.target
        caller = None if here.section else self.scene.places.caller()
        self.faults.append(
            MemoryFault(
                kind=damage.kind,
                access=damage.access,
                address=damage.address,
                offset=damage.address - target.address,
                site=here,
                caller=caller,
                allocation=target.allocation,
                freed=target.freed,
                found_at_free=damage.found_at_free,
            )
        )
