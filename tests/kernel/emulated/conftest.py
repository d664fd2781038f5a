from __future__ import annotations

from collections.abc import Iterator

import pytest

from lkm.kernel.emulated import open_machine
from lkm.kernel.emulated.hardware.processor import Limits
from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.kernel import Kernel
from tests.support.kernels import kernel_files


@pytest.fixture(scope="session")
def shared_machine() -> Iterator[EmulatedMachine]:
    machine = open_machine(kernel_files().vmlinuz)
    yield machine
    machine.shut_down()


@pytest.fixture
def machine(shared_machine: EmulatedMachine) -> EmulatedMachine:
    """A machine as it is after booting; the tests of a process share its memory, not its state."""
    shared_machine.rewind()
    shared_machine.limits = Limits()
    shared_machine.session.module_timeout = 30
    return shared_machine


@pytest.fixture
def kernel(machine: EmulatedMachine) -> Kernel:
    return Kernel(machine)
