"""Every case of the catalogue gives on both kernels the same errno, signal and log lines."""

from __future__ import annotations

import re

import pytest

from lkm.errors import KernelError
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from tests.kernel.agreement.catalogue import CASES, ENFORCE, LOCKED, Case
from tests.support.kernels import KernelFiles

# What differs between any two boots of one kernel: places in memory, numbers of tasks, what else
# is loaded, how the machine calls itself, the registers of the task that loads.
_NUMBERS = re.compile(r"\b(?:0x)?[0-9a-f]{8,16}\b")
_NAMED = re.compile(r"\b(?:PID: \d+|Comm: \S+|Lockdown: \S+:|pid \d+)")
_LEFT_OUT = re.compile(
    r"^(?:CPU: |Hardware name: |Modules linked in:|Call Trace:|Code: |RIP: 0033|R[A-Z0-9]{2}: "
    r"|RSP: |FS: |CS: |CR2: |DR[0-7]: |PGD |PKRU: | <|[ ?]|\[<|note: |---\[ end trace)"
)


def _comparable(line: str) -> str | None:
    if _LEFT_OUT.match(line):
        return None
    return _NAMED.sub("TASK", _NUMBERS.sub("ADDRESS", line))


def _outcomes(kernel: Kernel, case: Case) -> list[tuple[int, int, list[str]]]:
    outcomes = []
    for step in case.steps:
        with kernel.watch_log() as watch:
            number = signal = 0
            try:
                step.do(kernel)
            except KernelError as error:
                number, signal = error.errno, error.signal
            lines = [_comparable(line) for r in watch.new_records() for line in r.text.split("\n")]
        outcomes.append((number, signal, [line for line in lines if line]))
    return outcomes


@pytest.mark.parametrize("name", CASES)
def test_same_answer(name: str, kernel: KernelFiles) -> None:
    case = CASES[name]
    answers = {}
    for machine in ("vm", "emulated"):
        where = f"{machine}:{kernel.release}"
        with open_kernel(where, command_line=case.command_line) as opened:
            answers[machine] = _outcomes(opened, case)
            answers[machine].append((opened.taint(), 0, []))
    assert answers["emulated"] == answers["vm"]


def test_the_catalogue_is_whole() -> None:
    assert len(CASES) >= 45
    assert {case.command_line for case in CASES.values()} >= {"", ENFORCE, LOCKED}
