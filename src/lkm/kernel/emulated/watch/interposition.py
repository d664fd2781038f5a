"""Interpose between a module and the kernel: fail allocations, find leaks, guard memory, trace.

The module's direct calls are re-pointed, before it is initialised, at jumps of ours that lead on to
where they led before; a hook on those jumps sees each call with its arguments. The stack is left as
it is, so that call traces stay right. A call through a pointer is not seen; freeing is watched in
the kernel's functions themselves, whoever calls them.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace

from unicorn import x86_const as x86

from lkm.kernel.emulated.hardware.death import NotMapped
from lkm.kernel.emulated.hardware.processor import Processor
from lkm.kernel.emulated.tasks import FUNCTION_ARGUMENTS
from lkm.kernel.emulated.watch import allocators, call_sites, tracing
from lkm.kernel.emulated.watch import code_page as workshop
from lkm.kernel.emulated.watch.allocators import Allocator
from lkm.kernel.emulated.watch.call_sites import CallSite
from lkm.kernel.emulated.watch.entry_points import Steering
from lkm.kernel.emulated.watch.findings import Allocation, MemoryFault, Site, TracedCall
from lkm.kernel.emulated.watch.guard import Damage, GuardHeap
from lkm.kernel.emulated.watch.module_load import ComingModule
from lkm.kernel.emulated.watch.module_map import ModuleMap
from lkm.kernel.emulated.watch.tracing import Signatures
from lkm.module.image import ModuleImage
from lkm.vmlinux.image import VmlinuxImage

_SLOT = 8
_JUMP_SIZE = 5
_MOST_CALLS = 100_000
_STACK_WORDS = 256
_ERROR_POINTERS = 2**64 - 4096
_ZERO_SIZE_POINTER = 16


class Interposition:
    """Watches one module from the moment it is loaded; made by ``EmulatedMachine.interpose``.

    What is found can be read at any time; it covers initialisation, all use, and the unloading.
    """

    def __init__(
        self,
        processor: Processor,
        kernel: VmlinuxImage,
        image: ModuleImage,
        bench: workshop.Workshop,
        *,
        heap: GuardHeap | None = None,
        trace: bool = False,
    ) -> None:
        self._processor = processor
        self._kernel = kernel
        self._image = image
        self._workshop = bench
        self._heap = heap
        self._tracing = trace
        self._signatures = Signatures(kernel.btf)
        self._map: ModuleMap | None = None
        self._sites: list[CallSite] = []
        self._allocators: dict[str, Allocator | None] = {}
        self._steering = Steering(processor)
        self._live: dict[int, Allocation] = {}
        self._allocations: list[Allocation] = []
        self._calls: list[TracedCall] = []
        self._faults: list[MemoryFault] = []
        self._failing: set[int] = set()
        self.unguarded = 0
        """Allocations that found no room in guarded memory."""
        if heap is not None:
            processor.exceptions.on_page_fault = self._page_fault

    # What is asked for, what was found

    def fail_allocation(self, *numbers: int) -> None:
        """Let the allocations with these numbers fail, counting from 1 as the module makes them."""
        self._failing.update(numbers)

    @property
    def attached(self) -> bool:
        """Whether the module came and its calls were re-pointed."""
        return self._map is not None

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        """The allocations that the module asked for, in order."""
        return tuple(self._allocations)

    @property
    def failed(self) -> tuple[Allocation, ...]:
        """The allocations that were made to fail."""
        return tuple(made for made in self._allocations if made.forced)

    def leaks(self) -> tuple[Allocation, ...]:
        """Return the allocations not given back so far: after unloading, what leaked."""
        return tuple(self._live.values())

    @property
    def faults(self) -> tuple[MemoryFault, ...]:
        """The wrong accesses that the guards caught, in order."""
        return tuple(self._faults)

    @property
    def trace(self) -> tuple[TracedCall, ...]:
        """The module's calls in the order they were made; the first 100,000."""
        return tuple(self._calls)

    # Attaching

    def coming(self, module: ComingModule) -> None:
        """Re-point the calls of the module if it is ours."""
        if module.name != (self._image.modinfo.get("name") or self._image.name):
            return
        self._steering.end()
        self._map = ModuleMap(self._image, module.sections)
        found = call_sites.find(self._image, self._map, self._processor.memory)
        wanted = (site for site in found if self._tracing or self._concerns(site.function))
        self._sites = list(itertools.islice(wanted, workshop.SIZE // _SLOT))
        start = self._workshop.attach()
        jumps = bytearray()
        for index, site in enumerate(self._sites):
            jump = start + index * _SLOT
            distance = site.target - (jump + _JUMP_SIZE)
            jumps += b"\xe9" + distance.to_bytes(4, "little", signed=True) + b"\xcc" * 3
            displacement = jump - site.following
            self._processor.memory.write(
                site.displacement, displacement.to_bytes(4, "little", signed=True)
            )
        self._workshop.write(0, bytes(jumps))
        if self._sites:
            self._steering.watch(start, len(jumps), self._called)
        for name, position in allocators.FREES.items():
            self._watch_free(name, position)

    def _concerns(self, function: str) -> bool:
        if function == allocators.DEFERRED_FREE or function in allocators.SIZES:
            return True
        return self._allocator(function) is not None

    def _allocator(self, function: str) -> Allocator | None:
        if function not in self._allocators:
            found = allocators.allocator(function, self._kernel.btf)
            self._allocators[function] = found
        return self._allocators[function]

    def _watch_free(self, name: str, position: int) -> None:
        address = self._kernel.kallsyms.get(name)
        if address is None:
            return
        register = FUNCTION_ARGUMENTS[position]
        slab = name in allocators.SLAB_FREES

        def freed(_address: int) -> None:
            self._freed(self._processor.register(register), slab)

        self._steering.watch(address, 1, freed)

    def close(self) -> None:
        """Take all hooks away; what was found stays."""
        self._steering.end()
        if self._heap is not None:
            self._processor.exceptions.on_page_fault = None

    # Calls of the module

    def _called(self, address: int) -> None:
        index, inside = divmod(address - self._workshop.address, _SLOT)
        if inside or index >= len(self._sites):
            return
        call = self._sites[index]
        if self._tracing and len(self._calls) < _MOST_CALLS:
            self._trace(call)
        found = self._allocator(call.function)
        if found is not None:
            self._allocate(call, found)
        elif call.function == allocators.DEFERRED_FREE:
            self._deferred_free()
        elif call.function in allocators.SIZES and self._heap is not None:
            size = self._heap.size_of(self._processor.register(FUNCTION_ARGUMENTS[0]))
            if size is not None:
                self._steering.leave(size)

    def _trace(self, call: CallSite) -> None:
        signature = self._signatures.of(call.function)
        made = TracedCall(
            number=len(self._calls) + 1,
            function=call.function,
            site=self._site(call.instruction),
            arguments=tracing.arguments(self._processor, signature),
            result=None,
            result_type=signature.result[0],
            prototype_known=signature.known,
        )
        self._calls.append(made)
        if signature.known and signature.result[0] != tracing.VOID:
            index = len(self._calls) - 1

            def returned(_value: int) -> None:
                value = tracing.result(self._processor, signature)
                self._calls[index] = replace(made, result=value)

            self._steering.on_return(returned)

    def _allocate(self, call: CallSite, rule: Allocator) -> None:
        read = self._processor.register
        size = read(FUNCTION_ARGUMENTS[rule.size]) if rule.size is not None else None
        flags = read(FUNCTION_ARGUMENTS[rule.flags]) if rule.flags is not None else 0
        number = len(self._allocations) + 1
        made = Allocation(number, call.function, self._site(call.instruction), size, 0)
        if number in self._failing and not flags & allocators.NO_FAIL:
            self._allocations.append(replace(made, forced=True))
            self._steering.leave(0)
            return
        self._allocations.append(made)
        if self._heap is not None and rule.guarded and size:
            self._guarded(made, size, bool(flags & allocators.ZERO), rule)
            return
        old = read(FUNCTION_ARGUMENTS[0]) if rule.name in allocators.REALLOCATE else 0
        if self._heap is not None and old and size and self._heap.size_of(old) is not None:
            self._reallocate(made, old, size, rule)
            return
        self._steering.on_return(lambda address: self._allocated(made, address, rule, old))

    def _guarded(self, made: Allocation, size: int, zeroed: bool, rule: Allocator) -> None:
        assert self._heap is not None
        address = self._heap.make(size, zeroed, lambda at: replace(made, address=at))
        if address is None:
            self.unguarded += 1
            self._steering.on_return(lambda at: self._allocated(made, at, rule, 0))
            return
        self._allocated(made, address, rule, 0)
        self._steering.leave(address)

    def _reallocate(self, made: Allocation, old: int, size: int, rule: Allocator) -> None:
        """Do for a guarded object what krealloc does, which knows nothing of it."""
        assert self._heap is not None
        memory = self._processor.memory
        address = self._heap.make(size, False, lambda at: replace(made, address=at))
        if address is None:
            self._steering.leave(0)
            return
        memory.write(address, memory.read(old, min(self._heap.size_of(old) or 0, size)))
        damage = self._heap.free(old, made.site)
        if damage is not None:
            self._report(damage, made.site)
        self._allocated(made, address, rule, old)
        self._steering.leave(address)

    def _allocated(self, made: Allocation, address: int, rule: Allocator, old: int) -> None:
        if not _ZERO_SIZE_POINTER < address < _ERROR_POINTERS:
            return
        done = replace(made, address=address)
        self._allocations[made.number - 1] = done
        if old:
            self._live.pop(old, None)
        if rule.tracked:
            self._live[address] = done

    def _deferred_free(self) -> None:
        """kvfree_call_rcu(head, pointer), or (head, offset of head in the object) before 6.4."""
        head, pointer = (self._processor.register(name) for name in FUNCTION_ARGUMENTS[:2])
        address = head - pointer if pointer < 4096 else pointer
        self._live.pop(address, None)
        if self._heap is not None and self._heap.owns(address):
            self._steering.leave(0)  # it stays mapped: readers may still be there

    # Freeing, by whomever

    def _freed(self, address: int, slab: bool) -> None:
        self._live.pop(address, None)
        if self._heap is None or not slab or not self._heap.owns(address):
            return
        damage = self._heap.free(address, self._caller() or self._here())
        if damage is not None:
            self._report(damage, self._here())
        self._steering.leave(0)

    def _page_fault(self, address: int, error_code: int) -> None:
        if self._heap is None:
            return
        damage = self._heap.explain(address, error_code)
        if damage is not None:
            self._report(damage, self._here())

    def _report(self, damage: Damage, here: Site) -> None:
        target = damage.target
        caller = None if here.section else self._caller()
        self._faults.append(
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

    # Places

    def _site(self, address: int) -> Site:
        found = self._map.site(address) if self._map else None
        if found is not None:
            return found
        if address >= self._processor.layout.modules_start:
            return Site(hex(address), 0)  # in a module that is not watched
        known = self._kernel.kallsyms.at(address)
        return Site(known[0].name, known[1]) if known else Site(hex(address), 0)

    def _here(self) -> Site:
        return self._site(self._processor.place)

    def _caller(self) -> Site | None:
        """Return the innermost call on the stack that the module made."""
        if self._map is None:
            return None
        stack = self._processor.register(x86.UC_X86_REG_RSP)
        with contextlib.suppress(NotMapped):
            for index in range(_STACK_WORDS):
                found = self._map.site(self._processor.memory.u64(stack + 8 * index) - 1)
                if found is not None:
                    return found
        return None
