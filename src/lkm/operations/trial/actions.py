"""What can be done with a loaded module besides reading and writing: ioctl, mount, programs."""

from __future__ import annotations

import contextlib
import os
import re
import shlex

from lkm.errors import UnsupportedError, UsageError
from lkm.kernel.kernel import Kernel

MOUNTED = "/run-mount"
"""Where a file system of the module's is mounted."""

_IOCTL = re.compile(
    r"(0x[0-9a-fA-F]+|\d+)(?:,(?:hex:((?:[0-9a-fA-F]{2})*)|(0x[0-9a-fA-F]+|-?\d+)))?"
)
_MOST = 1 << 16


def ioctl(kernel: Kernel, path: str, text: str) -> str:
    """Make an ioctl of a device: ``REQUEST``, ``REQUEST,NUMBER`` or ``REQUEST,hex:BYTES``.

    Returns the buffer as the kernel left it, in hexadecimal; empty where none was given.
    """
    match = _IOCTL.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is no ioctl", hint="REQUEST, REQUEST,NUMBER or REQUEST,hex:BYTES: 0x1260,8"
        )
    number, data, value = match.groups()
    argument: int | bytes = int(value, 0) if value else 0
    if data is not None:
        argument = bytes.fromhex(data)
    syscalls = kernel.syscalls
    descriptor = syscalls.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return syscalls.ioctl(descriptor, int(number, 0), argument).hex()
    finally:
        syscalls.close(descriptor)


def mount(kernel: Kernel, filesystem: str, source: str) -> str:
    """Mount a file system of the module's and return the names in it, a line each."""
    if kernel.syscalls.shares_host_files:
        raise UnsupportedError(
            "nothing is mounted on this machine by a trial", hint="--kernel emulated or vm"
        )
    with contextlib.suppress(FileExistsError):
        kernel.syscalls.mkdir(MOUNTED)
    kernel.syscalls.mount(source or "none", MOUNTED, filesystem)
    return "".join(f"{name}\n" for name in kernel.list_directory(MOUNTED))


def unmount(kernel: Kernel) -> None:
    """Unmount what was mounted last."""
    kernel.syscalls.umount(MOUNTED)


def run_program(kernel: Kernel, line: str) -> str:
    """Run a program of this machine's in a virtual machine and return what it printed.

    Raises UnsupportedError for the emulated kernel, which runs no programs, and for the live one.
    """
    from lkm.kernel.vm.machine import VirtualMachine  # not paid for by other kernels
    from lkm.operations.running.vm import push_command

    machine = kernel.syscalls
    if not isinstance(machine, VirtualMachine):
        raise UnsupportedError(
            f"{kernel.name} runs no programs for a trial",
            hint="--kernel vm; the emulated kernel takes --read, --write, --ioctl, --mount",
        )
    program, *words = shlex.split(line) or [""]
    if not program:
        raise UsageError("--run needs a program")
    done = machine.run(push_command(machine, program), *words)
    said = (done.stdout + done.stderr)[:_MOST].decode("utf-8", "replace")
    return said if not done.status else f"{said}(exit status {done.status})\n"
