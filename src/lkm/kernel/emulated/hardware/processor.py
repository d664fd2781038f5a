"""The machine below user space: runs until a task is about to return to user mode.

That is the only place where the outside and the kernel meet. On the way the machine lets time
pass when the kernel is idle, interrupts module code that spins, and stops at breakpoints.
"""

from __future__ import annotations

import functools
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

import unicorn
from unicorn import x86_const as x86

from lkm.kernel.emulated.hardware.cpuid import answer_cpuid
from lkm.kernel.emulated.hardware.death import MachineDeath, Restarted
from lkm.kernel.emulated.hardware.devices import HERTZ, TICK, Devices, DeviceState
from lkm.kernel.emulated.hardware.engine_context import Context, ContextLayout
from lkm.kernel.emulated.hardware.exceptions import Exceptions
from lkm.kernel.emulated.hardware.layout import KernelLayout
from lkm.kernel.emulated.hardware.memory import PAGE, MachineMemory
from lkm.kernel.emulated.hardware.native_hooks import BlockCounter
from lkm.kernel.emulated.hardware.patches import HALT
from lkm.kernel.emulated.hardware.watchdog import Watchdog

_ADDRESS_SPACE_END = 0xFFFFFFFFFF000000
_ENDS = {
    "machine_power_off": "the kernel switched the machine off",
    "machine_halt": "the kernel halted the machine",
    "machine_restart": "the kernel restarted the machine",
}
"""Where a kernel leaves the machine to its hardware, or firmware (arch/x86/kernel/reboot.c)."""

_NOTHING_THERE = 0xFFFFFFFFFFFFFFFF
_DEVICE_SPACE_END = 1 << 32
_MOST_TEXT = 1 << 20
_BLOCKS_TO_WAIT = 16
"""How long after a tick that found interrupts disabled the next is tried."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the kernel may be busy: ``seconds`` of processor time between two returns to user
    mode, ``idle`` seconds of its own time without any, ``blocks`` of module code between ticks,
    ``spin`` ticks in a row in module code."""

    seconds: float = 60.0
    idle: float = 60.0
    blocks: int = 200_000
    spin: int = 2500


@dataclass(frozen=True, slots=True)
class UserReturn:
    """A task about to return to user mode: its task_struct, its pid, and its pt_regs."""

    task: int
    pid: int
    registers: int


class Processor:
    """The processor with its memory and devices."""

    def __init__(
        self,
        uc: unicorn.Uc,
        ram: memoryview,
        layout: KernelLayout,
        context: ContextLayout,
        devices: DeviceState,
    ) -> None:
        self.uc = uc
        self.layout = layout
        self.limits = Limits()
        self.deadline: float | None = None
        """When the machine is to stop whatever it does, by the monotonic clock."""
        self.memory = MachineMemory(uc, ram)
        self.devices = Devices(devices)
        self.context = Context(uc, context)
        self.exceptions = Exceptions(uc, self.memory, self.context)
        self._watchdog = Watchdog(uc.emu_stop)
        self._spins = 0
        self._raised: BaseException | None = None
        self.on_user_return: Callable[[int], None] | None = None
        """Called with the task_struct of each task that is about to return to user mode."""
        self._tick_due = False
        self._ram_size = len(ram)
        self._hooks: set[int] = set()
        self._attach()

    def _attach(self) -> None:
        self.devices.attach(self.hook)
        self.exceptions.attach(self.hook)
        self.hook(unicorn.UC_HOOK_INSN, answer_cpuid, which=x86.UC_X86_INS_CPUID)
        # Reads of device memory that nobody answers give ones, as on a PC bus.
        size = _DEVICE_SPACE_END - self._ram_size
        self.uc.mmio_map(self._ram_size, size, _nothing_there, None, _ignored, None)
        self.breakpoint(self.layout.symbols["emergency_restart"], _restarted)
        for name, what in _ENDS.items():
            if name in self.layout.symbols:
                self.breakpoint(self.layout.symbols[name], functools.partial(_ended, what))
        copy = self.layout.symbols.get("text_poke_copy")
        if copy is not None:
            self.breakpoint(copy, self._text_copied)
        self._blocks = BlockCounter(
            self.uc,
            self.layout.modules_start,
            _ADDRESS_SPACE_END,
            self.limits.blocks,
            self.guarded(self._spun),
        )

    def hook(
        self, kind: int, action: Callable[..., object], begin: int = 1, end: int = 0, which: int = 0
    ) -> int:
        """Add one of Unicorn's hooks, of all addresses when none are given; return a handle."""
        handle: int = self.uc.hook_add(kind, action, None, begin, end, which)
        self._hooks.add(handle)
        return handle

    def unhook(self, handle: int) -> None:
        """Take a hook away."""
        self._hooks.discard(handle)
        self.uc.hook_del(handle)

    def breakpoint(self, address: int, action: Callable[[], None]) -> int:
        """Call ``action`` each time the processor comes to ``address``; return a handle.

        An exception it raises stops the machine and comes out of ``run``.
        """

        def hook(_uc: unicorn.Uc, _address: int, _size: int, _data: object) -> None:
            action()

        return self.hook(unicorn.UC_HOOK_CODE, hook, address, address)

    def guarded(self, action: Callable[[int], None]) -> Callable[[int], None]:
        """Return ``action`` for a native hook: what it raises stops the machine, as elsewhere."""

        def caught(address: int) -> None:
            try:
                action(address)
            except BaseException as error:
                self._raised = self._raised or error
                self.uc.emu_stop()

        return caught

    def rewound(self) -> None:
        """Know that the machine is as it was after booting."""
        self._spins = 0
        self._blocks.restart(self.limits.blocks)

    def forget_code(self, address: int, size: int) -> None:
        """Drop what was translated from ``size`` bytes of code at a virtual address.

        Unicorn notices a store into translated code, but only at the bytes stored first, and not
        at all what changes behind its back. Page by page, for it takes memory to be contiguous.
        """
        for start in range(address & -PAGE, address + size, PAGE):
            self.uc.ctl_remove_cache(start, start + PAGE)

    def register(self, name: int) -> int:
        """Return a register by Unicorn's number."""
        value: int = self.uc.reg_read(name)
        return value

    @property
    def place(self) -> int:
        """Where the processor is."""
        return self.register(x86.UC_X86_REG_RIP)

    @property
    def current(self) -> tuple[int, int]:
        """The running task: its task_struct and its pid."""
        per_cpu = self.uc.reg_read(x86.UC_X86_REG_GS_BASE)
        task = self.memory.u64(self.layout.current_at(per_cpu))
        return task, self.memory.u32(task + self.layout.offsets["task_struct.pid"])

    def run(self) -> UserReturn:
        """Run until a task is about to return to user mode; raises ``MachineDeath``."""
        try:
            return self._run()
        except (unicorn.UcError, struct.error) as error:
            # The kernel's own tables lead to where no memory is.
            raise MachineDeath(f"the machine's state is broken: {error}") from error

    def _run(self) -> UserReturn:
        idle = 0
        self._spins = 0
        while True:
            self.emulate(self.place)
            rip = self.place
            if rip == self.layout.user_return + 1:
                task, pid = self.current
                if self.on_user_return:
                    self.on_user_return(task)
                return UserReturn(task, pid, self.register(x86.UC_X86_REG_RSP))
            if self._tick_due:
                self._tick_due = False
            elif self._halted(rip):
                idle += 1
                self._check_idle(idle)
            else:
                raise MachineDeath(f"the emulation stopped at {rip:#x}")
            self.exceptions.deliver(self.devices.advance())

    def _halted(self, rip: int) -> bool:
        return self.memory.read(rip - 1, 1) == HALT

    def _check_idle(self, ticks: int) -> None:
        if not self.exceptions.enabled:
            raise MachineDeath("the processor halted with interrupts disabled")
        if ticks * TICK > self.limits.idle * HERTZ:
            raise MachineDeath(f"nothing happened for {self.limits.idle:g} seconds")

    def emulate(self, start: int) -> None:
        """Run from an address until something stops the processor; raises ``MachineDeath``."""
        watchdog, limit = self._watchdog, self.limits.seconds
        self._check_deadline()
        watchdog.arm(limit, self.deadline)
        try:
            self.uc.emu_start(start, 0)
            watchdog.let_through()
            while self._only_interrupted():
                watchdog.interrupted = False
                self.uc.emu_start(self.place, 0)
                watchdog.let_through()
        except unicorn.UcError as error:
            raise MachineDeath(f"the emulator gave up: {error}") from error
        finally:
            watchdog.disarm()
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised
        if watchdog.fired:
            self._check_deadline()
            raise MachineDeath(f"the kernel was busy for {limit:g} seconds without end")

    def _check_deadline(self) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise MachineDeath("the time limit is over")

    def _only_interrupted(self) -> bool:
        """Whether it stopped for a signal that was handled by now, and for nothing else."""
        watchdog = self._watchdog
        if not watchdog.interrupted or watchdog.fired or self._tick_due or self._raised:
            return False
        rip = self.place
        return rip != self.layout.user_return + 1 and not self._halted(rip)

    def _text_copied(self) -> None:
        """text_poke_copy(address, source, size): programs that the kernel compiles (BPF)."""
        size = min(self.register(x86.UC_X86_REG_RDX), _MOST_TEXT)
        self.forget_code(self.register(x86.UC_X86_REG_RDI), size)

    def _spun(self, _address: int) -> None:
        """Module code ran for so many blocks that a timer interrupt is due."""
        if self._blocks.count > self.limits.blocks * self.limits.spin:
            raise MachineDeath("module code did not end, with interrupts disabled")
        if not self.exceptions.enabled:
            self._blocks.postpone(_BLOCKS_TO_WAIT)
            return
        self._blocks.restart(self.limits.blocks)
        self._spins += 1
        if self._spins > self.limits.spin:
            raise MachineDeath(f"module code did not end within {self._spins} timer ticks")
        self._tick_due = True
        self.uc.emu_stop()

    def close(self) -> None:
        """Let go of the emulator, which otherwise lives on in the callbacks that it holds."""
        self._watchdog.end()
        self._blocks.close()
        for handle in list(self._hooks):
            self.unhook(handle)
        self.uc.mem_unmap(self._ram_size, _DEVICE_SPACE_END - self._ram_size)


def _ended(what: str) -> None:
    raise MachineDeath(what)


def _restarted() -> None:
    raise Restarted("the kernel panicked")


def _nothing_there(_uc: unicorn.Uc, _offset: int, size: int, _data: object) -> int:
    return _NOTHING_THERE >> (64 - 8 * size)


def _ignored(_uc: unicorn.Uc, _offset: int, _size: int, _value: int, _data: object) -> None:
    pass
