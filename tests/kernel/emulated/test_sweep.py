"""The distribution's modules, each with what it depends on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.fidelity_report import report
from tests.support.kernels import kernel_files
from tests.support.sweep import LOADED, Result, Sweep, candidates
from tests.support.trees import kmod_depmod, linked_tree

OURS = ("traceback", "crash", "error")
"""Outcomes that would be mistakes of ours."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    linked_tree(kernel_files(), folder)
    assert kmod_depmod(folder, kernel_files().release).returncode == 0
    return folder


def sweep(root: Path, count: int | None = None) -> list[Result]:
    chosen = candidates(kernel_files(), root)
    if count is not None:
        places = sorted(random.Random(5).sample(range(len(chosen)), count))
        chosen = [chosen[place] for place in places]
    machine = Sweep(kernel_files(), root)
    results = list(machine.run(chosen))
    machine.close()
    assert [r for r in results if r.outcome.startswith(OURS)] == []
    return results


def test_a_hundred_modules_by_chance(root: Path) -> None:
    results = sweep(root, 100)
    assert sum(result.outcome == LOADED for result in results) >= 90
    refused = {result.outcome for result in results} - {LOADED}
    assert refused <= {"ENODEV", "ENXIO", "EINVAL", "EIO", "EBUSY"}


@pytest.mark.full
def test_every_module(root: Path) -> None:
    results = sweep(root)
    assert len(results) > 4000
    loaded = sum(result.outcome == LOADED for result in results)
    assert loaded / len(results) >= 0.93
    text = report(kernel_files().release, results)
    assert f"**{loaded:,} of {len(results):,} load" in text
