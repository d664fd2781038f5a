"""Watch a module in the emulated machine: its allocations, wrong accesses, calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.emulated.watch.findings import (
    Allocation,
    BrokenRule,
    CallArgument,
    KernelRule,
    MemoryFault,
    TracedCall,
)
from lkm.kernel.emulated.watch.interposition import Interposition
from lkm.kernel.kernel import Kernel
from lkm.module.image import ModuleImage
from lkm.operations.trial import events
from lkm.operations.trial.memory import MemoryTeller
from lkm.operations.trial.request import Watching
from lkm.operations.trial.source_lines import Place, Places


def machine_of(kernel: Kernel) -> EmulatedMachine:
    """Return the machine of a kernel that was opened as ``emulated``."""
    assert isinstance(kernel.syscalls, EmulatedMachine)
    return kernel.syscalls


class Instruments:
    """Watches one load of a module in an emulated machine, and reports its findings."""

    def __init__(
        self,
        machine: EmulatedMachine,
        image: ModuleImage,
        watching: Watching,
        emit: Callable[[events.Event], None],
    ) -> None:
        self._machine = machine
        self._image = image
        self._watching = watching
        self._emit = emit
        self._places = Places(image)
        self._watched: Interposition | None = None
        self._calls_told = self._faults_told = self._rules_told = 0
        self._memory: MemoryTeller | None = None

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        """The allocations the module asked for so far."""
        return self._watched.allocations if self._watched else ()

    def attach(self) -> None:
        """Watch the module from its next load on."""
        watching = self._watching
        if watching.memory:
            self._memory = MemoryTeller(self._machine, self._image, self._emit)
        if not (watching.checks or watching.trace or watching.fail):
            return  # it takes the kernel's symbols and types
        self._watched = self._machine.interpose(
            self._image,
            guard=watching.checks,
            rules=watching.checks,
            trace=watching.trace,
        )
        if watching.fail:
            self._watched.fail_allocation(watching.fail)

    def loaded(self) -> None:
        """Tell what can be told once the kernel took the module."""
        if self._memory is not None:
            self._memory.loaded()

    def tell_new(self) -> Iterator[str]:
        """Tell what was found since the last time; yield the problems among it, in words."""
        if self._watched is None:
            return
        calls = self._watched.trace[self._calls_told :]
        self._calls_told += len(calls)
        for call in calls:
            self._emit(self._called(call))
        faults = self._watched.faults[self._faults_told :]
        self._faults_told += len(faults)
        for fault in faults:
            told = self._faulted(fault)
            self._emit(told)
            yield f"{told.kind} at {(told.caller or told.place).at}"
        broken = self._watched.broken_rules[self._rules_told :]
        self._rules_told += len(broken)
        for each in broken:
            rule = self._broken(each)
            self._emit(rule)
            yield f"{rule.words} ({rule.place.at})" if rule.place.at else rule.words

    def tell_leaks(self) -> Iterator[str]:
        """Tell what was not given back; yield it in words too."""
        for leak in self._watched.leaks() if self._watched else ():
            told = events.Leaked(leak.number, leak.function, leak.size, self._places.of(leak.site))
            self._emit(told)
            size = "memory" if leak.size is None else f"{leak.size} bytes"
            yield f"{size} from {told.place.at} leaked"

    def left_behind(self) -> list[str]:
        """Return in words what was found to be still registered or still to come."""
        broken = self._watched.broken_rules if self._watched else ()
        return [each.words for each in broken if each.rule is KernelRule.LEFT_BEHIND]

    def tell_waiting(self) -> None:
        """Find out, of a kernel that does not go on, who waits for whom."""
        if self._watched is not None:
            self._watched.tell_waiting()

    def last_copy(self) -> Place | None:
        """Return where the module last copied something to user space."""
        site = self._watched.last_copy if self._watched else None
        return self._places.of(site, returns=True) if site else None

    def unchecked(self) -> list[str]:
        """Return in words what was left out."""
        if not self._watching.checks:
            return ["memory, leaks, locks, timers and registrations left behind (--fast)"]
        count = self._watched.unguarded if self._watched else 0
        return [f"{count} objects for which guarded memory had no room"] if count else []

    def failed(self) -> events.Failed | None:
        """Return the allocation that was made to fail, ``None`` when it was not reached."""
        for made in self._watched.failed if self._watched else ():
            place = self._places.of(made.site)
            return events.Failed(made.number, made.function, made.size, place)
        return None

    def _called(self, call: TracedCall) -> events.Called:
        arguments = ", ".join(map(_argument, call.arguments)) if call.prototype_known else "…"
        result = None if call.result is None else _value(call.result, call.result_type)
        return events.Called(
            call.number, call.function, arguments, result, self._places.of(call.site)
        )

    def _broken(self, broken: BrokenRule) -> events.RuleBroken:
        related = tuple(
            events.RelatedPlace(what, self._places.of(site)) for what, site in broken.related
        )
        where = self._places.of(broken.site) if broken.site else Place("")
        return events.RuleBroken(broken.rule.value, broken.words, where, related)

    def _faulted(self, fault: MemoryFault) -> events.Faulted:
        made = fault.allocation
        return events.Faulted(
            kind=fault.kind.value,
            access=fault.access.value,
            offset=fault.offset,
            size=made.size if made else None,
            place=self._places.of(fault.site),
            caller=self._places.of(fault.caller, returns=True) if fault.caller else None,
            allocated=self._places.of(made.site) if made else None,
            freed=self._places.of(fault.freed) if fault.freed else None,
            found_at_free=fault.found_at_free,
        )


def _argument(argument: CallArgument) -> str:
    if argument.text is not None:
        return f'{argument.name}="{_escaped(argument.text)}"'
    return f"{argument.name}={_value(argument.value, argument.type)}"


def _value(value: int, kind: str) -> str:
    """Return a pointer in hexadecimal (NULL for none), a number as its type has it."""
    if kind.endswith("*"):
        return f"{value:#x}" if value else "NULL"
    if kind == "gfp_t":
        return f"{value:#x}"
    if "unsigned" not in kind and value >> 63:
        value -= 1 << 64
    return str(value) if abs(value) < 1 << 16 else f"{value:#x}"


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode()
