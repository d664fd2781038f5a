"""Virtual machines: which run, which snapshots are kept, and a program's life in one."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lkm.errors import NotFoundError
from lkm.kernel.kernel import Kernel
from lkm.kernel.vm import guest, store
from lkm.kernel.vm.machine import VirtualMachine
from lkm.kernel.vm.profile import NAME_PREFIX, QEMU
from lkm.kernel.vm.store import StoredSnapshot

_BUSYBOX = "/bin/busybox"
_PROMPT_MODULES = ("lkm.kernel.kernel", "lkm.kernel.live", "lkm.module.*", "lzma", "zlib")
_PROMPT = """
import sys
sys.path.insert(0, {package!r})
from lkm.kernel.kernel import Kernel
from lkm.kernel.live import LiveSyscalls
kernel = Kernel(LiveSyscalls())
print("Python in", kernel.release + ": `kernel` is an lkm Kernel; Ctrl-D ends the machine")
"""


@dataclass(frozen=True, slots=True)
class RunningMachine:
    """One virtual machine: its QEMU, who owns it, its kernel, seconds it lives, memory in bytes."""

    pid: int
    owner: int
    owner_command: str
    release: str
    age: float
    memory: int


def running() -> list[RunningMachine]:
    """Return the machines of this user that run, from /proc; nothing else keeps account of them."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            # A process may end while it is looked at.
            with contextlib.suppress(OSError, ValueError, IndexError):
                machine = _machine(int(name))
                if machine:
                    found.append(machine)
    return sorted(found, key=lambda machine: machine.pid)


def _machine(pid: int) -> RunningMachine | None:
    words = _command(pid)
    if not words or os.path.basename(words[0]) != QEMU or "-name" not in words:
        return None
    name = words[words.index("-name") + 1]
    if not name.startswith(NAME_PREFIX):
        return None
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()  # from state on: proc(5)
    with open("/proc/uptime", encoding="ascii") as file:
        uptime = float(file.read().split()[0])
    owner = int(fields[1])
    return RunningMachine(
        pid=pid,
        owner=owner,
        owner_command=" ".join(_command(owner)),
        release=name.removeprefix(NAME_PREFIX),
        age=uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK"),
        memory=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
    )


def _command(pid: int) -> list[str]:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return [os.fsdecode(word) for word in file.read().split(b"\0") if word]


def snapshots() -> list[StoredSnapshot]:
    """Return the snapshots in the cache, most recently used first."""
    return store.entries()


def clean() -> int:
    """Remove all snapshots and return how many bytes that freed; running machines live on."""
    return store.clean()


def push_command(machine: VirtualMachine, name: str) -> str:
    """Make a program of the host available in the guest, and return its path there.

    A path with a slash that the guest has is taken as it is. NotFoundError when neither has it.
    """
    if "/" in name and Kernel(machine).exists(name):
        return name
    path = shutil.which(name)
    if path is None:
        raise NotFoundError(f"neither the guest nor this machine has the program {name!r}")
    real = os.path.realpath(path)
    target = os.path.abspath(path)
    if not Kernel(machine).exists(target):
        machine.push_program(real, target)
    return target


def shell_command(machine: VirtualMachine, *, python: bool = False) -> tuple[str, ...]:
    """Prepare a prompt in the guest and return the command that gives it.

    That is busybox's shell where this machine has busybox, else Python with a ``kernel`` object.
    """
    busybox = shutil.which("busybox")
    if busybox and not python:
        machine.push_program(os.path.realpath(busybox), _BUSYBOX)
        machine.run(_BUSYBOX, "--install", "-s", "/bin")
        return ("/bin/sh", "-i")
    machine.push_imports(_PROMPT_MODULES)
    machine.put("/lkm/prompt.py", _PROMPT.format(package=guest.GUEST_PACKAGE).encode())
    return (guest.interpreter(), "-ISqi", "/lkm/prompt.py")


def attach(
    machine: VirtualMachine,
    handle: int,
    write: Callable[[bytes, bytes], None],
    source: int | None,
) -> int:
    """Pass input from the descriptor ``source`` to a program and its output to ``write``.

    Returns its exit status. Without ``source`` it reads an empty input.
    """
    feed = _input(source)
    while True:
        stdout, stderr, status = machine.exchange(handle, next(feed))
        write(stdout, stderr)
        if status is not None:
            return status


def _input(source: int | None) -> Iterator[bytes | None]:
    """Yield what can be read just now, empty when nothing, and ``None`` once it has ended."""
    while source is not None:
        ready, _, _ = select.select([source], [], [], 0)
        if not ready:
            yield b""
            continue
        data = os.read(source, 1 << 16)
        if not data:
            source = None
            break
        yield data
    while True:
        yield None


def standard_input() -> int | None:
    """Return the descriptor of standard input, ``None`` when it is closed."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return sys.stdin.fileno()
    return None
