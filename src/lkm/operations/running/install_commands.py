"""Run the commands that modprobe.d gives for a module, on the machine whose kernel is meant."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from lkm.errors import UnsupportedError
from lkm.kernel.kernel import Kernel


def run_shell(kernel: Kernel, command: str, environment: Mapping[str, str]) -> int:
    """Run a shell command and return its exit status, 128 + N for signal N.

    On the live kernel it runs here; in a virtual machine it runs in the guest, which must have a
    shell. An emulated kernel runs no programs: UnsupportedError.
    """
    if kernel.syscalls.shares_host_files:
        done = subprocess.run(
            ["/bin/sh", "-c", command], env={**os.environ, **environment}, check=False
        )
        return done.returncode if done.returncode >= 0 else 128 - done.returncode
    from lkm.kernel.vm.machine import VirtualMachine  # not paid for on the live kernel

    machine = kernel.syscalls
    if isinstance(machine, VirtualMachine) and kernel.exists("/bin/sh"):
        words = [f"{name}={value}" for name, value in environment.items()]
        return machine.run("/bin/sh", "-c", 'export "$@"; eval "$0"', command, *words).status
    raise UnsupportedError(
        f"{kernel.name} has no shell to run {command!r}", hint="--ignore-install passes it over"
    )
