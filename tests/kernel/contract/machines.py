"""The kernels that the contract is checked on."""

from __future__ import annotations

from pathlib import Path

from lkm.kernel.open import open_kernel
from lkm.kernel.vm import guest
from lkm.kernel.vm.machine import virtual_machine
from tests.kernel.contract import checks
from tests.support.kernels import KernelFiles
from tests.support.modules import SOURCES, built

_FOLDER = "/lkm/contract"
_TESTS = Path(checks.__file__).parents[3]

_IN_GUEST = f"""
import sys
sys.path[:0] = ["{_TESTS}", "{guest.GUEST_PACKAGE}"]
from tests.kernel.contract.checks import CHECKS
from lkm.kernel.kernel import Kernel
from lkm.kernel.live import LiveSyscalls
CHECKS[sys.argv[1]](Kernel(LiveSyscalls()), lambda name: f"{_FOLDER}/{{name}}.ko")
"""


def check_on(machine: str, check: str, kernel: KernelFiles) -> None:
    """Run one check on a fresh ``vm`` or ``emulated`` kernel, or ``live`` inside a guest."""
    if machine == "live":
        _check_inside(check, kernel)
        return
    with open_kernel(f"{machine}:{kernel.release}") as opened:
        checks.CHECKS[check](opened, lambda name: str(built(name, kernel)))


def _check_inside(check: str, kernel: KernelFiles) -> None:
    with open_kernel(f"vm:{kernel.release}") as opened:
        machine = virtual_machine(opened.syscalls)
        machine.push_imports(
            ["tests.kernel.contract.checks", "lkm.kernel.live", "lkm.module.*"], [str(_TESTS)]
        )
        for source in SOURCES.glob("*.c"):
            machine.push(built(source.stem, kernel), f"{_FOLDER}/{source.stem}.ko")
        done = machine.run(guest.interpreter(), "-ISc", _IN_GUEST, check)
        assert done.status == 0, done.stderr.decode()
