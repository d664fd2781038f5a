"""Damaged input of every kind ends in facts or an error of ours, soon and with little memory."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.mutants import READERS

_ALL_REFUSED = {"inventory", "certificate", "signature"}
"""What holds a checksum of its whole, or one field of which is out of place when any is."""


def figures(seed: int, count: int, *targets: str) -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "tests.support.mutants", str(seed), str(count), *targets]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def test_twenty_thousand(capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(1, 20_000 // len(READERS) + 1)
    with capsys.disabled():
        print(json.dumps(found, indent=1))
    assert found.keys() == READERS.keys()
    assert sum(figure["mutants"] for figure in found.values()) >= 20_000
    # A target whose mutants are all refused at the door tests nothing but the door.
    for target, figure in found.items():
        assert target in _ALL_REFUSED or figure["refused"] < figure["mutants"], target


@pytest.mark.full
@pytest.mark.parametrize("target", sorted(READERS))
def test_a_million(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(2, 1_000_000 // len(READERS) + 1, target)
    with capsys.disabled():
        print(json.dumps(found))
    assert found[target]["mutants"] > 1_000_000 // len(READERS)
