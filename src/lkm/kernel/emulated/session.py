"""Making system calls in a restored machine: in PID 1, or in a thread that may lose its life."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from lkm.errors import KernelDiedError
from lkm.kernel.emulated import postmortem
from lkm.kernel.emulated import system_calls as abi
from lkm.kernel.emulated.arena import Arena
from lkm.kernel.emulated.hardware.death import MachineDeath, Restarted
from lkm.kernel.emulated.modprobe import ModprobeTask
from lkm.kernel.emulated.start.restored import Restored
from lkm.kernel.emulated.start.snapshot import Snapshot
from lkm.kernel.emulated.system_calls import Call, Number
from lkm.kernel.emulated.tasks import Program
from lkm.kernel.log import parse_text
from lkm.kernel.syscalls import SyscallOutcome

_LARGE = 2 << 20
_AUTOPSY_SECONDS = 5.0
_SIGNAL_MASK = 0x7F
_SIGNAL_SET_SIZE = 8
_HINT = "rewind or open the machine anew"
_PANIC = "Kernel panic - not syncing: "
_Result = TypeVar("_Result")


class Session:
    """One restored machine and the calls made in it.

    ``module_timeout`` are the seconds of the machine's own time that a call in a thread may take
    before the wait for it is given up.
    """

    def __init__(self, snapshot: Snapshot, modprobe: ModprobeTask) -> None:
        self.restored = Restored(snapshot, modprobe)
        self.module_timeout = 30.0
        self.death: KernelDiedError | None = None

    def rewind(self) -> None:
        """Go back to the snapshot, dead or alive."""
        self.restored.rewind()
        self.death = None

    @property
    def dead(self) -> str:
        """Why the kernel will not go on; empty while it lives."""
        return self.death.reason if self.death else ""

    @contextlib.contextmanager
    def buffers(self) -> Iterator[Arena]:
        """Lend the arena; what was put there is gone at the end of the block."""
        try:
            yield self.restored.arena
        finally:
            self.restored.arena.clear()

    def call(self, number: Number, *arguments: int, path: str = "") -> int:
        """Make a system call in PID 1; an error is an ``OSError`` that names ``path``."""
        result = self._raw(number, *arguments)
        if -abi.ERRNO_MAX <= result < 0:
            raise OSError(-result, os.strerror(-result), path or None)
        return result

    def call_kernel(self, function: int, *arguments: int) -> int:
        """Call a function of the kernel in the context of PID 1 and return what it returned."""
        return self._alive(
            "a call into the kernel",
            lambda: self.restored.tasks.call_kernel(function, *arguments),
        )

    def in_thread(self, number: Number, *arguments: int) -> SyscallOutcome:
        """Make a system call in a thread of PID 1 and wait for the thread's end."""
        results: list[int] = []

        def program() -> Program:
            results.append((yield Call(number, arguments)))
            return 0

        signal = self.run_thread(number.name.lower(), program())
        if signal:
            return SyscallOutcome(signal=signal)
        if not results:
            raise KernelDiedError(number.name.lower(), "its task ended without coming back from it")
        return SyscallOutcome(errno=-results[0]) if results[0] < 0 else SyscallOutcome(results[0])

    def run_thread(self, operation: str, program: Program, *, kill: bool = False) -> int:
        """Run a program in a thread of PID 1 to its end; return the signal that killed it, or 0.

        With ``kill``, a thread that does not end is killed, if the kernel lets it, which raises
        ``TimeoutError``.
        """
        self.restored.tasks.clone_runs(program)
        pid = self.call(Number.CLONE, abi.CLONE_SHARING | abi.SIGCHLD, 0, 0, 0, 0)
        status = self._wait(operation, pid, kill)
        if status & _SIGNAL_MASK:
            self.restored.tasks.forget(pid)
        return status & _SIGNAL_MASK

    @contextlib.contextmanager
    def copied(self, data: bytes) -> Iterator[int]:
        """Put bytes of any size into PID 1's memory for the time of the block."""
        if len(data) <= _LARGE:
            yield self.restored.arena.put(data)
            return
        protection, flags = abi.PROT_READ_WRITE, abi.MAP_PRIVATE_ANONYMOUS_POPULATE
        address = self.call(Number.MMAP, 0, len(data), protection, flags, -1, 0)
        try:
            self.restored.processor.memory.write(address, data)
            yield address
        finally:
            if not self.dead:
                self.call(Number.MUNMAP, address, len(data))

    def sleep(self, seconds: float) -> None:
        """Let the machine's time pass, so that what the kernel put off gets done."""
        with self.buffers() as arena:
            signals = arena.put(struct.pack("<Q", 1 << (abi.SIGCHLD - 1)))
            whole, fraction = divmod(seconds, 1)
            timeout = arena.put(struct.pack("<qq", int(whole), int(fraction * 1e9)))
            self._raw(Number.RT_SIGTIMEDWAIT, signals, 0, timeout, _SIGNAL_SET_SIZE)

    def _wait(self, operation: str, pid: int, kill: bool) -> int:
        """Return the wait status of a thread; a thread that does not end is reported."""
        arena = self.restored.arena
        signals = arena.put(struct.pack("<Q", 1 << (abi.SIGCHLD - 1)))
        seconds, fraction = divmod(self.module_timeout, 1)
        timeout = arena.put(struct.pack("<qq", int(seconds), int(fraction * 1e9)))
        status = arena.put(bytes(4))
        killed = False
        while True:
            signal = self._raw(Number.RT_SIGTIMEDWAIT, signals, 0, timeout, _SIGNAL_SET_SIZE)
            if self.call(Number.WAIT4, pid, status, abi.WNOHANG | abi.WALL, 0) == pid:
                if killed:
                    self.restored.tasks.forget(pid)
                    words = f"it did not return within {self.module_timeout:g} s"
                    raise TimeoutError(errno.ETIMEDOUT, words)
                return int.from_bytes(arena.get(status, 4), "little")
            if signal == -errno.EAGAIN and kill and not killed:
                self.call(Number.KILL, pid, abi.SIGKILL)
                killed = True
            elif signal == -errno.EAGAIN:
                raise KernelDiedError(
                    operation,
                    f"it did not return within {self.module_timeout:g} s of the machine's time",
                    log=self._stack(pid),
                    hint=f"the rest of the machine still answers; {_HINT} to be rid of the task",
                )

    def _stack(self, pid: int) -> list[str]:
        """Return where a blocked task is, innermost function first."""
        try:
            with self.buffers() as arena:
                path = arena.text(f"/proc/{pid}/stack")
                descriptor = self.call(Number.OPEN, path, os.O_RDONLY, 0)
                buffer = arena.reserve(4096)
                size = self.call(Number.READ, descriptor, buffer, 4096)
                text = arena.get(buffer, size).decode("utf-8", "replace")
                self.call(Number.CLOSE, descriptor)
        except OSError:
            return []
        return [line.removeprefix("[<0>] ") for line in text.splitlines()]

    def _raw(self, number: Number, *arguments: int) -> int:
        return self._alive(
            number.name.lower(), lambda: self.restored.tasks.call(number, *arguments)
        )

    def _alive(self, operation: str, action: Callable[[], _Result]) -> _Result:
        if self.death is not None:
            raise KernelDiedError(operation, self.dead, log=self.death.log, hint=_HINT)
        try:
            return action()
        except MachineDeath as death:
            self.death = self._autopsy(operation, death)
            raise self.death from death
        except BaseException:  # Ctrl-C: what is to be closed on the way out must not run it on
            self.death = KernelDiedError(operation, "it was interrupted", hint=_HINT)
            raise

    def _autopsy(self, operation: str, death: MachineDeath) -> KernelDiedError:
        processor, stack = self.restored.processor, self.restored.tasks.main.registers
        deadline, processor.deadline = processor.deadline, time.monotonic() + _AUTOPSY_SECONDS
        place = postmortem.symbol(processor, stack, processor.place)
        lines = postmortem.log(processor, stack)
        processor.deadline = deadline
        log = [record.text for record in parse_text("\n".join(lines))]
        panics = [line.removeprefix(_PANIC) for line in log if line.startswith(_PANIC)]
        if isinstance(death, Restarted):
            reason = f"{death.reason}: {panics[-1]}" if panics else death.reason
        else:
            reason = f"{death.reason}, at {place}"
        return KernelDiedError(operation, reason, log=log, hint=_HINT)

    def close(self) -> None:
        """Free the machine."""
        self.death = self.death or KernelDiedError("close", "it was shut down")
        self.restored.close()
