"""The program that the kernel starts as /sbin/modprobe: Python, answering from the module tree.

Source: ``kernel/module/kmod.c: call_modprobe`` (``/sbin/modprobe -q -- NAME``).
"""

from __future__ import annotations

import os

from lkm.kernel.emulated.hardware.memory import MachineMemory
from lkm.kernel.emulated.system_calls import (
    MAP_PRIVATE_ANONYMOUS_POPULATE,
    PROT_READ_WRITE,
    Call,
    Number,
)
from lkm.kernel.emulated.tasks import Program
from lkm.kernel.requests import Insertion, RequestDesk, RequestProgress


class ModprobeTask:
    """Makes the programs of the tasks that the kernel executes; ``desk`` has their requests."""

    def __init__(self) -> None:
        self.desk = RequestDesk()
        self.memory: MachineMemory | None = None

    def program(self, argv: list[str]) -> Program:
        """Return the program for ``argv``; anything but modprobe fails, as if it did not exist."""
        request = self.desk.take(argv)
        if not argv or not argv[0].endswith("/modprobe"):
            return 1
        progress = RequestProgress()
        for module in self.desk.answer(request):
            if progress.wants(module.target):
                result = yield from self._insert(module)
                request.loaded.append((module.name, result))
                progress.note(module.target, module.required, result)
        return progress.status

    def _insert(self, module: Insertion) -> Program:
        """Load from memory of the task's own: it has no mapping until it makes one."""
        assert self.memory is not None
        size = len(module.image)
        text = os.fsencode(module.parameters) + b"\0"
        room = size + len(text)
        buffer = yield Call(
            Number.MMAP, (0, room, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS_POPULATE, -1, 0)
        )
        if buffer < 0:
            return buffer
        self.memory.write(buffer, module.image + text)
        result = yield Call(Number.INIT_MODULE, (buffer, size, buffer + size))
        yield Call(Number.MUNMAP, (buffer, room))
        return result
