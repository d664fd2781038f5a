"""What leaves the kernel: bytes of the module's memory that nobody wrote, copied to user space.

Guarded memory starts with a pattern that depends on the place; bytes that still have it were never
written. The distribution's kernels zero what is allocated (``init_on_alloc``), so that there zeros
leave; where they are told not to, whatever was in that memory before.
"""

from __future__ import annotations

from lkm.kernel.emulated.hardware.death import NotMapped
from lkm.kernel.emulated.watch.checks import Check, Scene
from lkm.kernel.emulated.watch.findings import BrokenRule, KernelRule, Site
from lkm.kernel.emulated.watch.guard import GuardHeap

_SHORTEST = 3
_MOST = 1 << 20


class Copies(Check):
    """Looks at what is copied to user space out of guarded memory."""

    def __init__(self, scene: Scene, heap: GuardHeap) -> None:
        super().__init__(scene)
        self._heap = heap
        self.last: Site | None = None

    def attach(self) -> None:
        """Stand at the kernel's one function for it."""
        self.scene.watch("_copy_to_user", self._copying)

    def _copying(self) -> None:
        source, size = self.scene.argument(1), self.scene.argument(2)
        site = self.scene.places.caller()
        self.last = site or self.last
        made = self._heap.object_at(source)
        if made is None or not 0 < size < _MOST:
            return
        room = made.address + made.size - source
        try:
            data = self.scene.processor.memory.read(source, min(size, room))
        except NotMapped:
            return
        fresh = self._heap.untouched(source, data)
        count = sum(fresh)
        if site is None or max(fresh, default=0) < _SHORTEST:
            return
        words = (
            f"{count} of {size} bytes copied to user space were never written: whatever was in "
            "that memory before is shown (zeros, where the kernel has init_on_alloc=1)"
        )
        related = (("allocated", made.allocation.site),)
        self.scene.report(BrokenRule(KernelRule.INFORMATION_LEAK, words, site, related))
