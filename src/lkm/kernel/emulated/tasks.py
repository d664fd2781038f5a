"""User space in Python: each task is a generator that yields its system calls.

The first task, PID 1, is driven from outside; the others are threads it cloned (one for each
operation that may cost the task its life) and the programs that the kernel starts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator

from unicorn import x86_const as x86

from lkm.kernel import small_elf
from lkm.kernel.emulated.hardware.memory import MASK, signed
from lkm.kernel.emulated.hardware.processor import Processor, UserReturn
from lkm.kernel.emulated.system_calls import Call, Number

Program = Generator[Call, int, int]
"""Yields system calls, is sent their results, returns its exit status."""

_ARGUMENTS = (
    x86.UC_X86_REG_RDI,
    x86.UC_X86_REG_RSI,
    x86.UC_X86_REG_RDX,
    x86.UC_X86_REG_R10,
    x86.UC_X86_REG_R8,
    x86.UC_X86_REG_R9,
)
_USER_CODE_SEGMENT, _USER_DATA_SEGMENT = 0x33, 0x2B
_USER_FLAGS, _KERNEL_FLAGS = 0x246, 2
_USER_STACK = 0x7FFF0000
_INIT = 1
USER_CODE = small_elf.CODE
"""Where the program of every task of ours begins; it is never run."""

NOT_YET = UserReturn(0, 0, 0)
_NOT_SYSRET = 0
"""In RCX at entry: not the user's RIP, so that the kernel returns by IRET, where we wait."""


class Tasks:
    """The tasks of the machine, and which of them is to make which system call."""

    def __init__(
        self,
        processor: Processor,
        executed: Callable[[list[str]], Program],
        main: UserReturn = NOT_YET,
    ) -> None:
        self._processor = processor
        self._executed = executed
        self._programs: dict[int, Program] = {}
        self._cloned: list[Program] = []
        self.main = main

    def run_to_init(self) -> None:
        """Boot until PID 1 is about to enter user mode."""
        while (stop := self._processor.run()).pid != _INIT:
            self._dispatch(stop)
        self.main = stop

    def call(self, number: Number, *arguments: int) -> int:
        """Make a system call in PID 1 and return its result (negative: an errno)."""
        self.enter(self.main, Call(number, arguments))
        return self.resume()

    def resume(self) -> int:
        """Run until PID 1 is back in user mode and return what is in its RAX."""
        while True:
            stop = self._processor.run()
            if stop.task == self.main.task:
                self.main = stop
                return self._result(stop)
            self._dispatch(stop)

    def call_kernel(self, function: int, *arguments: int) -> int:
        """Call a function of the kernel in the context of PID 1 and return what it returned."""
        write = self._processor.uc.reg_write
        registers = self.main.registers
        # It returns to the place where PID 1 is now, with the stack as it is now.
        self._processor.memory.write_u64(registers - 8, self._processor.layout.user_return)
        write(x86.UC_X86_REG_RSP, registers - 8)
        write(x86.UC_X86_REG_EFLAGS, _USER_FLAGS)
        for name, value in zip(FUNCTION_ARGUMENTS, arguments, strict=False):
            write(name, value & MASK)
        write(x86.UC_X86_REG_RIP, function)
        while (stop := self._processor.run()).task != self.main.task:
            self._dispatch(stop)
        return self._processor.register(x86.UC_X86_REG_RAX)

    def clone_runs(self, program: Program) -> None:
        """Say what the next thread that PID 1 clones is to run."""
        self._cloned.append(program)

    def forget(self, pid: int) -> None:
        """Drop the program of a task that is no more."""
        self._programs.pop(pid, None)

    def enter(self, at: UserReturn, call: Call) -> None:
        """Let the task execute SYSCALL: entry_SYSCALL_64 with its hardware frame in place."""
        write = self._processor.uc.reg_write
        top = at.registers + self._processor.layout.offsets["pt_regs"]
        frame = (USER_CODE + 1, _USER_CODE_SEGMENT, _USER_FLAGS, _USER_STACK, _USER_DATA_SEGMENT)
        self._processor.memory.write(top - 40, struct.pack("<5Q", *frame))
        write(x86.UC_X86_REG_RSP, top - 40)
        write(x86.UC_X86_REG_EFLAGS, _KERNEL_FLAGS)
        write(x86.UC_X86_REG_RAX, call.number)
        write(x86.UC_X86_REG_RCX, _NOT_SYSRET)
        write(x86.UC_X86_REG_R11, _USER_FLAGS)
        padded = (*call.arguments, *(0,) * (len(_ARGUMENTS) - len(call.arguments)))
        for name, value in zip(_ARGUMENTS, padded, strict=True):
            write(name, value & MASK)
        entry = self._processor.layout.symbols["entry_SYSCALL_64_after_hwframe"]
        write(x86.UC_X86_REG_RIP, entry)

    def _dispatch(self, stop: UserReturn) -> None:
        """Ask the program of a task other than PID 1 for its next system call."""
        program = self._programs.get(stop.pid)
        try:
            if program is None:
                program = self._programs[stop.pid] = self._adopt(stop)
                call = next(program)
            else:
                call = program.send(self._result(stop))
        except StopIteration as end:
            self.forget(stop.pid)
            call = Call(Number.EXIT_GROUP, (end.value or 0,))
        self.enter(stop, call)

    def _adopt(self, stop: UserReturn) -> Program:
        if self._cloned and self._memory_of(stop) == self._memory_of(self.main):
            return self._cloned.pop(0)
        return self._executed(self._argv(stop))

    def _memory_of(self, stop: UserReturn) -> int:
        offset = self._processor.layout.offsets["task_struct.mm"]
        return self._processor.memory.u64(stop.task + offset)

    def _argv(self, stop: UserReturn) -> list[str]:
        """Read the arguments of a program just executed from its stack."""
        memory = self._processor.memory
        stack = memory.u64(stop.registers + self._processor.layout.offsets["pt_regs.sp"])
        count = min(memory.u64(stack), 64)
        pointers = [memory.u64(stack + 8 + 8 * index) for index in range(count)]
        return [memory.string(at).decode("utf-8", "replace") for at in pointers]

    def _result(self, stop: UserReturn) -> int:
        offset = self._processor.layout.offsets["pt_regs.ax"]
        return signed(self._processor.memory.u64(stop.registers + offset))


FUNCTION_ARGUMENTS = (
    x86.UC_X86_REG_RDI,
    x86.UC_X86_REG_RSI,
    x86.UC_X86_REG_RDX,
    x86.UC_X86_REG_RCX,
    x86.UC_X86_REG_R8,
    x86.UC_X86_REG_R9,
)
"""Registers of a C function's first arguments (System V ABI)."""


def nothing(argv: list[str]) -> Program:
    """Return a program that ends at once: what the kernel executes while it boots."""
    return 0
    yield Call(Number.GETPID)
