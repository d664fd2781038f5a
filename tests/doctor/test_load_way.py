"""The kernel's function where a load stopped, and the gate that the doctor foretold."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkm.kernels.known import find_kernel
from lkm.operations.demonstration import made_failures, way
from lkm.operations.demonstration.made_failures import FAILURES
from lkm.operations.demonstration.way import Agreed, Predicted, Question, Stopped, WayEvent
from tests.doctor import mutations, reality
from tests.support.kernels import KernelFiles, kernel_files

_UNFORETOLD = "init-refuses"
"""What a module's own init answers, only running it tells."""


@pytest.mark.parametrize("series", ["6.1.", "6.12."])
@pytest.mark.parametrize("name", [failure.name for failure in FAILURES])
def test_kernel_and_doctor_name_the_same_gate(series: str, name: str, tmp_path: Path) -> None:
    known = find_kernel(kernel_files(series).release)
    told: list[WayEvent] = []
    agreed = way.follow(made_failures.question_of(name, known, tmp_path), told.append)
    predicted = next(event for event in told if isinstance(event, Predicted))
    stopped = next(event for event in told if isinstance(event, Stopped))
    assert stopped.function
    assert agreed in told
    if name == _UNFORETOLD:
        assert (predicted.loads, stopped.gate) == (True, "init")
        return
    assert not predicted.loads
    assert agreed == Agreed(stopped.gate, stopped.gate, same=True, errno_same=True), stopped


@pytest.mark.full
def test_the_gates_of_modules_changed_at_random(kernel: KernelFiles, tmp_path: Path) -> None:
    """Where the two agree on the error, they name the same gate; an init's own answer apart."""
    differing = []
    for case in mutations.cases(reality.ours(kernel), 120, seed=7):
        if case.profile == "blacklist":
            continue  # only a command line makes it
        path = tmp_path / case.path.name
        path.write_bytes(case.data)
        question = Question(
            str(path),
            f"emulated:{kernel.release}",
            case.parameters,
            sig_enforce=case.profile == "enforce",
            lockdown=case.profile == "lockdown",
            before=tuple(map(str, case.before)),
        )
        agreed = way.follow(question, lambda _: None)
        if agreed.actual != "init" and not (agreed.same and agreed.errno_same):
            differing.append(f"{case}: {agreed}")
    assert differing == []
