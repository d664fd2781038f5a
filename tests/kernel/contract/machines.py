"""The kernels that the contract is checked on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import lkm
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.kernel.vm import guest
from lkm.kernel.vm.machine import VirtualMachine, virtual_machine
from tests.kernel.contract import checks
from tests.support.kernels import KernelFiles
from tests.support.modules import SOURCES, built

_FOLDER = "/lkm/contract"

_IN_GUEST = f"""
import sys
sys.path.insert(0, "{_FOLDER}")
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
        _push_python(machine)
        for source in SOURCES.glob("*.c"):
            machine.push(built(source.stem, kernel), f"{_FOLDER}/{source.stem}.ko")
        done = machine.run(guest.interpreter(), "-ISc", _IN_GUEST, check)
        assert done.status == 0, done.stderr.decode()


def _push_python(machine: VirtualMachine) -> None:
    """Give the guest what Python needs to run the checks there."""
    package = Path(lkm.__file__).parent.parent
    tests = Path(checks.__file__).parents[3]
    code = (
        f"import sys; sys.path[:0] = [{str(package)!r}, {str(tests)!r}]\n"
        "import tests.kernel.contract.checks, lkm.kernel.live\n"
        "print(*(getattr(m, '__file__', None) or '' for m in sys.modules.values()), sep='\\n')"
    )
    command = [guest.interpreter(), "-ISc", code]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in set(listing.split()):
        path = Path(line)
        for root in (package, tests):
            if path.is_relative_to(root):
                machine.push(path, f"{_FOLDER}/{path.relative_to(root)}")
                break
        else:
            if not Kernel(machine).exists(line):
                machine.push(path, line)
