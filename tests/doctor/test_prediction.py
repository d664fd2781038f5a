"""Prediction = reality: the doctor's answer and a real kernel's, over cases of twelve kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from lkm.kernel.emulated import open_machine
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.module.image import ModuleImage
from tests.doctor import mutations, reality
from tests.doctor.mutations import PROFILES, Case
from tests.support.kernels import KernelFiles, kernel_files
from tests.support.own_kernel import own_kernel


@pytest.fixture(scope="module")
def machines() -> Iterator[dict[str, Kernel]]:
    """The emulated kernel in each profile, opened when first asked for."""
    opened: dict[str, Kernel] = {}
    yield opened
    for kernel in opened.values():
        kernel.close()


def machine(machines: dict[str, Kernel], profile: str, files: KernelFiles) -> Kernel:
    if profile not in machines:
        syscalls = open_machine(files.vmlinuz, command_line=PROFILES[profile])
        machines[profile] = Kernel(syscalls)
    kernel = machines[profile]
    kernel.syscalls.rewind()  # type: ignore[attr-defined]
    return kernel


def disagreements(
    cases: list[Case], machines: dict[str, Kernel], files: KernelFiles | None = None
) -> list[str]:
    files = files or kernel_files()
    targets = {
        profile: reality.target_of(machine(machines, profile, files), files)
        for profile in sorted({case.profile for case in cases})
    }
    found = []
    for case in cases:
        prediction = reality.predict(case, targets[case.profile])
        happened = reality.load(case, machine(machines, case.profile, files))
        difference = reality.disagreement(prediction, happened)
        if difference:
            found.append(f"{case}: {difference}; log: {happened.log[-3:]}")
    return found


@pytest.mark.full
def test_every_base_module_loads(machines: dict[str, Kernel]) -> None:
    """What is mutated loads as it is, so that a refusal is the mutation's doing."""
    files = kernel_files()
    modules = reality.modules(files)
    assert len(modules) >= 50
    for module in modules:
        case = Case("none", "as it is", module.path, module.data, module.needs)
        happened = reality.load(case, machine(machines, "plain", files))
        assert (happened.errno, happened.signal) == (0, 0), (case, happened.log)


def test_sixty_cases(machines: dict[str, Kernel]) -> None:
    cases = mutations.cases(reality.modules(kernel_files()), 60)
    assert {case.kind for case in cases} == set(mutations.MUTATIONS)
    assert disagreements(cases, machines) == []


@pytest.mark.full
@pytest.mark.parametrize("part", range(10))
def test_six_hundred_cases(part: int, machines: dict[str, Kernel]) -> None:
    cases = mutations.cases(reality.modules(kernel_files()), 600)
    assert disagreements(cases[part::10], machines) == []


@pytest.mark.full
def test_two_hundred_cases_on_a_kernel_with_hardly_an_option() -> None:
    """Without symbol versions, signatures, a module's tree: what is not on is not checked."""
    own = own_kernel()
    kinds = mutations.MUTATIONS.keys() - {"crc"}
    cases = mutations.cases(reality.ours(own), 200, kinds=kinds)
    machines: dict[str, Kernel] = {}
    try:
        assert disagreements([replace(c, profile="plain") for c in cases], machines, own) == []
    finally:
        for kernel in machines.values():
            kernel.close()


@pytest.mark.full
@pytest.mark.parametrize("series", ["5.10.", "6.12.", "7."])
def test_cases_on_other_kernels(series: str) -> None:
    files = kernel_files(series)
    modules = reality.modules(files)
    versioned = any(ModuleImage.open(module.path).versions for module in modules)
    kinds = mutations.MUTATIONS.keys() - (set() if versioned else {"crc"})
    machines: dict[str, Kernel] = {}
    try:
        cases = mutations.cases(modules, 240, kinds=kinds)
        assert disagreements(cases, machines, files) == []
    finally:
        for kernel in machines.values():
            kernel.close()


def test_the_cases_cover_refusals_and_loads() -> None:
    """The case list is worth something: every errno of the table, and enough that load."""
    modules = reality.modules(kernel_files())
    cases = mutations.cases(modules, 600)
    assert len({case.path for case in cases}) >= 45
    assert {case.profile for case in cases} == set(PROFILES)
    assert len({(case.path, case.kind, case.what, case.parameters) for case in cases}) >= 480


def disagreements_in_vm(cases: list[Case]) -> list[str]:
    files = kernel_files()
    found = []
    for drawn in cases:
        where = f"vm:{files.release}"
        with open_kernel(where, command_line=PROFILES[drawn.profile]) as kernel:
            target = reality.target_of(kernel, files)
            case = in_a_vm(drawn, target.loaded or {})
            prediction = reality.predict(case, target)
            happened = reality.load(case, kernel)
        difference = reality.disagreement(prediction, happened)
        if difference:
            found.append(f"{case}: {difference}; log: {happened.log[-3:]}")
    return found


def in_a_vm(case: Case, loaded: Mapping[str, object]) -> Case:
    """Leave out of what is loaded before what the virtual machine came with."""
    before = tuple(path for path in case.before if ModuleImage.open(path).name not in loaded)
    return replace(case, before=before)


def test_four_cases_in_a_virtual_machine() -> None:
    cases = mutations.cases(reality.modules(kernel_files()), 72, seed=3)
    assert disagreements_in_vm(cases[:72:19]) == []


@pytest.mark.full
@pytest.mark.parametrize("part", range(4))
def test_a_hundred_cases_in_a_virtual_machine(part: int) -> None:
    cases = mutations.cases(reality.modules(kernel_files()), 600)
    assert disagreements_in_vm(cases[part * 125 : part * 125 + 125 : 5]) == []
