"""Interpose between a module and the kernel: fail allocations, guard memory, trace, check.

The module's direct calls are re-pointed, before it is initialised, at jumps of ours that lead on to
where they led before; a hook on those jumps sees each call with its arguments. The stack is left as
it is, so that call traces stay right. A call through a pointer is not seen; what the kernel does
for the module (freeing, registering) is watched in the kernel's functions, whoever calls them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from unicorn import x86_const as x86

from lkm.kernel.emulated.hardware.processor import Processor
from lkm.kernel.emulated.watch import call_sites, tracing
from lkm.kernel.emulated.watch import code_page as workshop
from lkm.kernel.emulated.watch.access_rules import AccessRules
from lkm.kernel.emulated.watch.allocation_watch import AllocationWatch
from lkm.kernel.emulated.watch.call_sites import CallSite
from lkm.kernel.emulated.watch.checks import Check, Scene
from lkm.kernel.emulated.watch.copies import Copies
from lkm.kernel.emulated.watch.entry_points import Steering
from lkm.kernel.emulated.watch.findings import Allocation, BrokenRule, MemoryFault, Site, TracedCall
from lkm.kernel.emulated.watch.guard import GuardHeap
from lkm.kernel.emulated.watch.lock_rules import LockRules
from lkm.kernel.emulated.watch.module_load import ComingModule
from lkm.kernel.emulated.watch.module_map import ModuleMap
from lkm.kernel.emulated.watch.places import CodePlaces
from lkm.kernel.emulated.watch.registrations import Registrations, registers
from lkm.kernel.emulated.watch.scheduled import Scheduled
from lkm.kernel.emulated.watch.tracing import Signatures
from lkm.module.image import ModuleImage
from lkm.vmlinux.image import VmlinuxImage

_SLOT = 8
_JUMP_SIZE = 5
_MOST_CALLS = 100_000


@dataclass(frozen=True, slots=True)
class InterpositionTools:
    """What an interposition uses: a guarded heap, tracing, the checks of rules."""

    heap: GuardHeap | None = None
    trace: bool = False
    rules: bool = False


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
        tools: InterpositionTools,
    ) -> None:
        self._processor = processor
        self._image = image
        self._name = image.modinfo.get("name") or image.name
        self._workshop = bench
        self._heap = tools.heap
        self._tracing = tools.trace
        self._signatures = Signatures(kernel.btf)
        self._sites: list[CallSite] = []
        self._listeners: dict[str, list[Check]] = {}
        self._calls: list[TracedCall] = []
        self._steering = Steering(processor)
        self._places = CodePlaces(processor, kernel)
        self._scene = Scene(processor, kernel, self._steering, self._places)
        self._locks = LockRules(self._scene)
        sleeps = self._locks.allocates if tools.rules else None
        self._memory = AllocationWatch(self._scene, tools.heap, sleeps)
        self._checks: list[Check] = []
        self._copies: Copies | None = None
        if tools.rules:
            imports = frozenset(symbol.name for symbol in image.imports)
            self._checks += [self._locks, Registrations(self._scene, imports)]
            self._checks += [Scheduled(self._scene), AccessRules(self._scene)]
        if tools.heap is not None:
            self._copies = Copies(self._scene, tools.heap)
            self._checks.append(self._copies)
        self._checks.append(self._memory)  # last, for it may return to the caller at once
        processor.exceptions.on_page_fault = self._page_fault
        processor.on_user_return = self._returning

    # What is asked for, what was found

    def fail_allocation(self, *numbers: int) -> None:
        """Let the allocations with these numbers fail, counting from 1 as the module makes them."""
        self._memory.failing.update(numbers)

    @property
    def attached(self) -> bool:
        """Whether the module came and its calls were re-pointed."""
        return self._places.map is not None

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        """The allocations that the module asked for, in order."""
        return tuple(self._memory.made)

    @property
    def unguarded(self) -> int:
        """Allocations that found no room in guarded memory."""
        return self._memory.unguarded

    @property
    def failed(self) -> tuple[Allocation, ...]:
        """The allocations that were made to fail."""
        return tuple(made for made in self._memory.made if made.forced)

    def leaks(self) -> tuple[Allocation, ...]:
        """Return the allocations not given back so far: after unloading, what leaked."""
        return tuple(self._memory.live.values())

    @property
    def faults(self) -> tuple[MemoryFault, ...]:
        """The wrong accesses that the guards caught, in order."""
        return tuple(self._memory.faults)

    @property
    def broken_rules(self) -> tuple[BrokenRule, ...]:
        """The rules of the kernel that the module broke, in order."""
        return tuple(self._scene.found)

    @property
    def last_copy(self) -> Site | None:
        """Where the module last copied something to user space."""
        return self._copies.last if self._copies else None

    @property
    def trace(self) -> tuple[TracedCall, ...]:
        """The module's calls in the order they were made; the first 100,000."""
        return tuple(self._calls)

    def tell_waiting(self) -> None:
        """Add who waits for whom, of a machine that does not go on, to the broken rules."""
        self._locks.waiting()

    def look_anew(self) -> None:
        """Let the processor forget which addresses were mapped: memory was freed meanwhile."""
        if self._heap is not None:
            self._heap.flush()
        else:
            cr3 = self._processor.register(x86.UC_X86_REG_CR3)
            self._processor.uc.reg_write(x86.UC_X86_REG_CR3, cr3)

    # Attaching

    def coming(self, module: ComingModule) -> None:
        """Re-point the calls of the module if it is ours."""
        if module.name != self._name:
            return
        self._steering.end()
        self._places.jumped.clear()
        self._places.map = layout = ModuleMap(self._image, module.sections)
        found = call_sites.find(self._image, layout, self._processor.memory)
        wanted = (site for site in found if self._is_wanted(site))
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
        self._scene.watch("free_module", self._leaving)
        for check in self._checks:
            check.attach()

    def _is_wanted(self, site: CallSite) -> bool:
        # Asked when tracing too: by the answers the checks know what to stand at (``attach``).
        concerned = self._concern(site.function)
        if self._tracing or concerned:
            return True
        return site.is_jump and registers(site.function)

    def _concern(self, function: str) -> list[Check]:
        found = self._listeners.get(function)
        if found is None:
            found = [check for check in self._checks if check.concerns(function)]
            self._listeners[function] = found
        return found

    def close(self) -> None:
        """Take all hooks away; what was found stays."""
        self._steering.end()
        for check in self._checks:
            check.close()
        self._processor.exceptions.on_page_fault = None
        self._processor.on_user_return = None

    # What the machine tells

    def _called(self, address: int) -> None:
        index, inside = divmod(address - self._workshop.address, _SLOT)
        if inside or index >= len(self._sites):
            return
        call = self._sites[index]
        if self._tracing and len(self._calls) < _MOST_CALLS:
            self._trace(call)
        site = self._places.site(call.instruction)
        if call.is_jump:
            self._jumped(site)
        for check in self._concern(call.function):
            check.called(call, site)

    def _jumped(self, site: Site) -> None:
        """Remember a call that the stack does not show, until it comes back."""
        task, jumped = self._scene.task, self._places.jumped
        jumped[task] = site

        def came_back(_value: int) -> None:
            jumped.pop(task, None)

        self._steering.on_return(came_back)

    def _page_fault(self, address: int, error_code: int) -> None:
        for check in self._checks:
            check.page_fault(address, error_code)

    def _returning(self, task: int) -> None:
        for check in self._checks:
            check.returning(task)

    def _leaving(self) -> None:
        """free_module(module): its exit function, or its failed init, is done."""
        at = self._scene.argument(0) + self._processor.layout.offsets["module.name"]
        if self._scene.text(at) == self._name:
            for check in self._checks:
                check.leaving()

    def _trace(self, call: CallSite) -> None:
        signature = self._signatures.of(call.function)
        made = TracedCall(
            number=len(self._calls) + 1,
            function=call.function,
            site=self._places.site(call.instruction),
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
