"""What a check of a module's behaviour is told, and what it shares with the others."""

from __future__ import annotations

import struct
from collections.abc import Callable

from unicorn import x86_const as x86

from lkm.errors import LkmError
from lkm.kernel.emulated.hardware.death import NotMapped
from lkm.kernel.emulated.hardware.memory import MASK
from lkm.kernel.emulated.hardware.processor import Processor
from lkm.kernel.emulated.tasks import FUNCTION_ARGUMENTS
from lkm.kernel.emulated.watch.call_sites import CallSite
from lkm.kernel.emulated.watch.entry_points import Steering
from lkm.kernel.emulated.watch.findings import BrokenRule, Site
from lkm.kernel.emulated.watch.places import CodePlaces
from lkm.vmlinux.image import VmlinuxImage

_SOFTIRQ, _SOFTIRQS_OFF, _HARDIRQ = 0x100, 0xFF00, 0xF0000
_COUNTED = 0x7FFFFFFF
"""All of preempt_count but the bit that says the opposite of need_resched."""
_INTERRUPTS_ENABLED = 0x200


class Scene:
    """The machine as the checks see it: who runs, in which context, with which arguments."""

    def __init__(
        self, processor: Processor, kernel: VmlinuxImage, steering: Steering, places: CodePlaces
    ) -> None:
        self.processor = processor
        self.kernel = kernel
        self.steering = steering
        self.places = places
        self.found: list[BrokenRule] = []
        self._seen: set[tuple[object, ...]] = set()
        self._count_at: int | None = None

    def report(self, broken: BrokenRule) -> None:
        """Keep what was found; the same at the same place counts once."""
        key = (broken.rule, broken.site or broken.words)
        if key not in self._seen:
            self._seen.add(key)
            self.found.append(broken)

    def argument(self, position: int) -> int:
        """Return an argument of the function at whose entry the processor is."""
        return self.processor.register(FUNCTION_ARGUMENTS[position])

    def watch(self, function: str, action: Callable[[], None]) -> bool:
        """Call ``action`` at each entry of a kernel's function; return whether there is one."""
        address = self.kernel.kallsyms.get(function)
        if address is None:
            return False
        self.steering.watch(address, 1, lambda _address: action())
        return True

    def on_return(self, action: Callable[[int], None]) -> None:
        """Call ``action`` with its result when the function just entered comes back."""
        self.steering.on_return(action)

    def offset(self, structure: str, member: str) -> int | None:
        """Return where a member is in a structure of this kernel, ``None`` if it has none."""
        try:
            return self.kernel.btf.offset(structure, member)
        except LkmError:
            return None

    def u64(self, address: int) -> int | None:
        """Return the 8-byte number at an address, ``None`` where nothing is mapped."""
        try:
            return self.processor.memory.u64(address)
        except NotMapped:
            return None

    def u32(self, address: int) -> int | None:
        """Return the 4-byte number at an address, ``None`` where nothing is mapped."""
        try:
            return self.processor.memory.u32(address)
        except NotMapped:
            return None

    def text(self, address: int) -> str:
        """Return the text at an address, empty where nothing is mapped."""
        try:
            return self.processor.memory.string(address, 256).decode("utf-8", "replace")
        except NotMapped:
            return ""

    @property
    def task(self) -> int:
        """The running task's task_struct."""
        return self.processor.current[0]

    def task_name(self, task: int) -> str:
        """Return a task's name and process number."""
        offsets = self.processor.layout.offsets
        name = self.text(task + offsets["task_struct.comm"])
        return f"{name} ({self.u32(task + offsets['task_struct.pid'])})"

    @property
    def interrupts_enabled(self) -> bool:
        """Whether the processor takes interrupts."""
        return bool(self.processor.register(x86.UC_X86_REG_EFLAGS) & _INTERRUPTS_ENABLED)

    @property
    def preempt_count(self) -> int:
        """How often preemption was switched off, and by what (``include/linux/preempt.h``)."""
        at = self.count_at
        if at is None:
            return 0
        count: int = struct.unpack_from("<I", self.processor.memory.ram, at)[0]
        return count & _COUNTED

    @property
    def in_softirq(self) -> bool:
        """Whether a softirq is being served."""
        return bool(self.preempt_count & _SOFTIRQ)

    @property
    def in_hardirq(self) -> bool:
        """Whether an interrupt is being served."""
        return bool(self.preempt_count & _HARDIRQ)

    @property
    def softirqs_enabled(self) -> bool:
        """Whether a softirq may come at any time."""
        return not self.preempt_count & (_SOFTIRQS_OFF | _HARDIRQ) and self.interrupts_enabled

    @property
    def count_at(self) -> int | None:
        """The physical address of preempt_count; ``None`` where the kernel keeps none."""
        if self._count_at is None:
            self._count_at = self._find_count()
        return self._count_at

    @property
    def counted(self) -> int:
        """The bits of preempt_count that say that preemption is off."""
        return _COUNTED

    def _find_count(self) -> int | None:
        layout, base = self.processor.layout, self.processor.register(x86.UC_X86_REG_GS_BASE)
        inside = self.offset("pcpu_hot", "preempt_count")
        if inside is not None:
            at = layout.current + inside - (self.offset("pcpu_hot", "current_task") or 0)
        else:
            found = self.kernel.kallsyms.get("__preempt_count")
            if found is None:
                return None
            at = found
        try:
            return self.processor.memory.physical((base + at) & MASK if layout.per_cpu else at)
        except NotMapped:
            return None


class Check:
    """Something to look for; what it finds it gives to its scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def concerns(self, function: str) -> bool:
        """Whether the module's calls of a function are to be told."""
        return False

    def attach(self) -> None:
        """The module is linked and laid out, not yet run."""

    def called(self, call: CallSite, site: Site) -> None:
        """The module calls a function that concerns this check."""

    def page_fault(self, address: int, error_code: int) -> None:
        """The processor is about to deliver a page fault."""

    def returning(self, task: int) -> None:
        """A task is about to return to user mode."""

    def leaving(self) -> None:
        """The module's exit function is done, or its init failed; its memory is still there."""

    def close(self) -> None:
        """Take away what is not taken away with the scene's steering."""
