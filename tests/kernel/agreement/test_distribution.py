"""The distribution's own modules, with what they depend on: the same result on both kernels."""

from __future__ import annotations

import functools
import random
from pathlib import Path

import pytest

from lkm.errors import KernelDiedError, KernelError
from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.kernel.vm.guest import module_closure
from lkm.module.image import name_of
from tests.support.kernels import KernelFiles, kernel_files

SEED = 4023
COUNT = 300
SAMPLE = 20

Result = tuple[str, int, int]
"""The module that decided it, errno, signal."""

_OTHER_PROCESSOR = "qemu64 lacks what the emulated Haswell has"

# What the two machines are made of differs; see docs/agreement.md.
EXPLAINED = {
    "crc32c_intel": _OTHER_PROCESSOR,
    "processor_thermal_device_pci": _OTHER_PROCESSOR,
    "sha256_ssse3": _OTHER_PROCESSOR,
    "sha512_ssse3": _OTHER_PROCESSOR,
}


@functools.cache
def drawn() -> list[str]:
    """The names of the modules drawn, the same in every run on one kernel."""
    paths = sorted(kernel_files().modules.rglob("*.ko"), key=lambda path: path.name)
    return [name_of(path.name) for path in random.Random(SEED).sample(paths, COUNT)]


def load_with_dependencies(kernel: Kernel, paths: list[Path]) -> Result:
    """Load ``paths`` in order; return what stopped it, or the last and no error.

    The virtual machine has the modules of its channel loaded already.
    """
    for path in paths:
        if kernel.is_loaded(path.stem):
            continue
        try:
            kernel.load(path)
        except KernelDiedError as error:
            return f"{path.stem}: {error.reason}", 0, 0
        except KernelError as error:
            return path.stem, error.errno, error.signal
    return paths[-1].stem, 0, 0


def result_on(machine: str, kernel: KernelFiles, name: str) -> Result:
    """Load one module on a fresh machine that answers no requests for further ones."""
    with open_kernel(f"{machine}:{kernel.release}") as opened:
        if isinstance(opened.syscalls, EmulatedMachine):
            opened.syscalls.answer_requests(None)
        return load_with_dependencies(opened, module_closure(kernel.modules, [name]))


def _check(name: str, kernel: KernelFiles) -> None:
    results = {machine: result_on(machine, kernel, name) for machine in ("vm", "emulated")}
    if name in EXPLAINED:
        assert results["vm"] != results["emulated"], f"{name} is explained, but agrees"
    else:
        assert results["emulated"] == results["vm"]


@pytest.mark.parametrize("index", range(SAMPLE))
def test_sample(index: int, kernel: KernelFiles) -> None:
    _check(drawn()[index], kernel)


@pytest.mark.full
@pytest.mark.parametrize("index", range(SAMPLE, COUNT))
def test_rest(index: int, kernel: KernelFiles) -> None:
    _check(drawn()[index], kernel)


def test_explanations_are_of_modules_drawn() -> None:
    assert set(EXPLAINED) <= set(drawn())
