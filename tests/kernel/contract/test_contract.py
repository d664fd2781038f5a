"""One contract, three kernels: what holds on one of them holds on all."""

import pytest

from tests.kernel.contract.checks import CHECKS
from tests.kernel.contract.machines import check_on
from tests.support.kernels import KernelFiles, kernel_files


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
