"""The kernel's function where a load stopped, and the gate that the doctor foretold."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkm.kernels.known import find_kernel
from lkm.operations.demonstration import made_failures, way
from lkm.operations.demonstration.made_failures import FAILURES
from lkm.operations.demonstration.way import Agreed, Predicted, Stopped, WayEvent
from tests.support.kernels import kernel_files

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
    assert told[-2] == agreed
    if name == _UNFORETOLD:
        assert (predicted.loads, stopped.gate) == (True, "init")
        return
    assert not predicted.loads
    assert agreed == Agreed(stopped.gate, stopped.gate, same=True, errno_same=True), stopped
