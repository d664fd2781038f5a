"""One QEMU process: its life, its channel, its console. It leaves no file anywhere.

The channels and the console are pairs of sockets, QEMU's own messages go to a memory file; all are
handed over as open descriptors. QEMU gets SIGKILL from the kernel when the thread that started it
ends, however that happens (prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import weakref
from collections.abc import Callable, Sequence

from lkm.errors import ToolError
from lkm.kernel.vm.output import Output
from lkm.kernel.vm.profile import find_qemu
from lkm.kernel.vm.qmp import QmpClient

_PR_SET_PDEATHSIG = 1
_MOST_MESSAGES = 1 << 16
_LIBC = ctypes.CDLL(None, use_errno=True)


class QemuProcess:
    """A started QEMU; ``end`` kills it. ``arguments`` are all but the channels';
    ``console`` is what the guest writes to its serial port.

    ``descriptors`` are more open files that it shall inherit, under the numbers they have here.
    """

    def __init__(self, arguments: Sequence[str], descriptors: Sequence[int] = ()) -> None:
        self.agent, agent_end = socket.socketpair()
        self.modprobe, modprobe_end = socket.socketpair()
        self._control, control_end = socket.socketpair()
        console, console_end = socket.socketpair()
        self.console = Output(console)
        self._messages = os.memfd_create("lkm-qemu")
        self.command = [
            find_qemu(),
            *arguments,
            *("-chardev", f"socket,id=console,fd={console_end.fileno()}"),
            *("-serial", "chardev:console"),
            *("-chardev", f"socket,id=agent,fd={agent_end.fileno()}"),
            *("-chardev", f"socket,id=modprobe,fd={modprobe_end.fileno()}"),
            *("-chardev", f"socket,id=control,fd={control_end.fileno()}"),
            *("-mon", "chardev=control,mode=control"),
        ]
        ends = (agent_end, modprobe_end, control_end, console_end)
        passed = (*(end.fileno() for end in ends), *descriptors)
        try:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=self._messages,
                stderr=self._messages,
                pass_fds=passed,
                start_new_session=True,  # Ctrl-C is for us, who then end it
                # One system call through a library that is loaded: safe between fork and exec.
                preexec_fn=_die_with_parent(os.getpid()),  # noqa: PLW1509
            )
        except OSError as error:
            raise ToolError(f"QEMU cannot be started: {error}", command=self.command) from error
        finally:
            for end in ends:
                end.close()
        self._qmp: QmpClient | None = None
        self._finalizer = weakref.finalize(self, _kill, self._process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def qmp(self) -> QmpClient:
        """Its machine protocol, connected when first used."""
        if self._qmp is None:
            self._qmp = QmpClient(self._control)
        return self._qmp

    def has_ended(self) -> bool:
        """Whether QEMU has exited."""
        return self._process.poll() is not None

    def wait(self, limit: float) -> bool:
        """Wait up to ``limit`` seconds for QEMU to exit; return whether it did."""
        try:
            self._process.wait(limit)
        except subprocess.TimeoutExpired:
            return False
        return True

    def messages(self) -> str:
        """What QEMU itself had to say last."""
        return _end_of(self._messages)

    def end(self) -> None:
        """Kill it and close all that belongs to it; twice does no harm."""
        if not self._finalizer.alive:
            return
        self._finalizer()
        self.console.close()
        if self._qmp is not None:
            self._qmp.close()
        self._control.close()
        self.agent.close()
        self.modprobe.close()
        os.close(self._messages)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _die_with_parent(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(1)

    return prepare


def _end_of(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    start = max(size - _MOST_MESSAGES, 0)
    return os.pread(descriptor, size - start, start).decode("utf-8", "replace")
