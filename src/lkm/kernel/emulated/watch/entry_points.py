"""Watch the entry of functions: report calls, return early, read results."""

from __future__ import annotations

from collections.abc import Callable

import unicorn
from unicorn import x86_const as x86

from lkm.kernel.emulated.hardware.processor import Processor


class Steering:
    """Hooks on code that are all taken away together."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._hooks: list[int] = []
        self._returns: set[int] = set()
        self._pending: dict[tuple[int, int], list[Callable[[int], None]]] = {}

    def watch(self, start: int, size: int, action: Callable[[int], None]) -> None:
        """Call ``action`` with the address whenever an instruction of the range is to run."""

        def hook(_uc: unicorn.Uc, address: int, _size: int, _data: object) -> None:
            action(address)

        end = start + size - 1
        self._hooks.append(self._processor.hook(unicorn.UC_HOOK_CODE, hook, start, end))
        # What was translated before the hook does not call it.
        self._processor.forget_code(start, size)

    def leave(self, value: int) -> None:
        """Return ``value`` from the function at whose entry the processor is."""
        write = self._processor.uc.reg_write
        stack = self._processor.register(x86.UC_X86_REG_RSP)
        write(x86.UC_X86_REG_RAX, value)
        write(x86.UC_X86_REG_RSP, stack + 8)
        write(x86.UC_X86_REG_RIP, self._processor.memory.u64(stack))

    def on_return(self, action: Callable[[int], None]) -> None:
        """Call ``action`` with RAX when the function just entered comes back.

        Its return is known by address and stack, so that tasks and nested calls are kept apart.
        """
        stack = self._processor.register(x86.UC_X86_REG_RSP)
        address = self._processor.memory.u64(stack)
        self._pending.setdefault((address, stack + 8), []).append(action)
        if address not in self._returns:
            self._returns.add(address)
            self.watch(address, 1, self._came_back)

    def _came_back(self, address: int) -> None:
        stack = self._processor.register(x86.UC_X86_REG_RSP)
        for action in self._pending.pop((address, stack), ()):
            action(self._processor.register(x86.UC_X86_REG_RAX))

    def end(self) -> None:
        """Take all hooks away."""
        for handle in self._hooks:
            self._processor.unhook(handle)
        self._hooks.clear()
        self._returns.clear()
        self._pending.clear()
