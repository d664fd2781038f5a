"""Hostile modules: each ends in a clear result, in time, in little memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.support.modules import SOURCES

MEMORY = 512 << 20
SECONDS = 8
KINDS = re.findall(r"KIND\((?!name\))(\w+)\)", (SOURCES / "hostile.c").read_text())
QUICK = {
    "emulated": [
        *("escapes", "spin_off", "halt_off", "die", "power_off", "zero_idt", "page_tables_wild"),
        *("hide", "rename_escapes", "request_path"),
    ],
    "vm": ["escapes", "power_off", "zero_idt", "hide", "rename_escapes"],
}
ELSEWHERE = [
    *("spin:exit", "sleep_hours:exit", "null:exit", "flood:thread", "spin:timer", "die:timer"),
    *("null:timer", "wait:work", "null:work", "thread_bomb:thread", "nothing:exit"),
]


def ends(kernel: str, cases: list[str], seconds: float) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.support.hostile", kernel, str(seconds), *cases]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(kernel: str, cases: list[str], seconds: float) -> None:
    results = ends(kernel, cases, seconds)
    assert [result["case"] for result in results] == cases
    for result in results:
        assert result["outcome"] == "finished", result
        assert result["printable"], result
        assert max(result["memory"], result["machine memory"]) <= MEMORY, result


@pytest.mark.parametrize("kernel", sorted(QUICK))
def test_fifteen(kernel: str) -> None:
    check(kernel, QUICK[kernel], SECONDS)


@pytest.mark.full
@pytest.mark.parametrize("kernel", sorted(QUICK))
@pytest.mark.parametrize("part", range(8))
def test_all(kernel: str, part: int) -> None:
    check(kernel, [*KINDS, *ELSEWHERE][part::8], 20)


def test_what_kills_the_machine_is_a_problem_that_names_it() -> None:
    (result,) = ends("emulated", ["zero_idt"], SECONDS)
    assert "triple fault" in result["words"][-1]
    (result,) = ends("emulated", ["power_off"], SECONDS)
    assert "switched the machine off" in result["words"][-1]
