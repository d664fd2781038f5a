"""One contract, three kernels: what holds on one of them holds on all."""

import pytest

from lkm.kernel.emulated import open_machine
from lkm.kernel.kernel import Kernel
from tests.kernel.contract.checks import CHECKS
from tests.kernel.contract.machines import check_on
from tests.support.kernels import KernelFiles, kernel_files
from tests.support.modules import built
from tests.support.own_kernel import own_kernel


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("machine", ["vm", "emulated"])
def test_contract(machine: str, check: str, kernel: KernelFiles) -> None:
    check_on(machine, check, kernel)


# The agent of every virtual machine is the live code: these checks of it whole are samples.
_SAMPLES = {"files", "init_failing", "load_and_unload", "log", "oops_in_init", "taint"}


@pytest.mark.parametrize(
    "check",
    [name if name in _SAMPLES else pytest.param(name, marks=pytest.mark.full) for name in CHECKS],
)
def test_contract_on_the_live_kernel_of_a_guest(check: str, kernel: KernelFiles) -> None:
    check_on("live", check, kernel)


@pytest.mark.full
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("machine", ["vm", "emulated"])
@pytest.mark.parametrize(
    ("series", "flavour"),
    [
        ("6.1.", "cloud-amd64"), ("6.1.", "rt-amd64"), ("6.1.0-47", "amd64"),
        ("5.10.", "amd64"), ("6.12.", "amd64"), ("7.", "amd64"),
    ],
)  # fmt: skip
def test_contract_on_other_kernels(machine: str, check: str, series: str, flavour: str) -> None:
    check_on(machine, check, kernel_files(series, flavour))


# They expect the taint of an unsigned module, which only a kernel that looks at signatures sets.
_OF_SIGNATURES = {"load_and_unload", "taint"}


@pytest.mark.full
@pytest.mark.parametrize("check", [name for name in CHECKS if name not in _OF_SIGNATURES])
def test_contract_on_a_kernel_with_hardly_an_option(check: str) -> None:
    """For one processor, without symbol versions, with no variables in its kallsyms."""
    own = own_kernel()
    with Kernel(open_machine(own.vmlinuz)) as opened:
        CHECKS[check](opened, lambda name: str(built(name, own)))
