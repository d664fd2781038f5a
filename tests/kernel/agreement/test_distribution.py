"""The distribution's modules, each with what it depends on: the same result on both machines.

Where it is not, ``tests/support/differences.py`` gives the reason, and docs/fidelity.md lists it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.differences import REASONS, name_of_module
from tests.support.fidelity_page import PAGE, Page, answer, read
from tests.support.fidelity_report import report
from tests.support.kernels import KernelFiles
from tests.support.sweep import Candidate, EmulatedSweep, Result, VmSweep, candidates

SEED = 4023
COUNT = 300
PARTS, PARTS_OF_REST = 15, 60
"""So many tests, for several processes to share."""


@pytest.fixture(scope="session")
def root(kmod_tree: Path) -> Path:
    return kmod_tree.parents[2]


@pytest.fixture(scope="session")
def page() -> Page:
    return read(PAGE.read_text(encoding="utf-8"))


def drawn(every: Sequence[Candidate]) -> list[Candidate]:
    """The modules drawn, the same in every run on one kernel."""
    places = sorted(random.Random(SEED).sample(range(len(every)), COUNT))
    return [every[place] for place in places]


def part_of(chosen: Sequence[Candidate], part: int, parts: int) -> Sequence[Candidate]:
    return chosen[len(chosen) * part // parts : len(chosen) * (part + 1) // parts]


def mistakes(
    chosen: Sequence[Candidate], kernel: KernelFiles, root: Path, page: Page
) -> list[tuple[str, Result, Result]]:
    """Return what is not as it should be, of modules loaded in both machines."""
    with EmulatedSweep(kernel, root) as sweep:
        emulated = list(sweep.run(chosen))
    virtual = list(VmSweep(kernel, root).run(chosen))
    assert [r.module for r in emulated] == [r.module for r in virtual]
    judged = [(_mistake(*pair, page), *pair) for pair in zip(emulated, virtual, strict=True)]
    return [mistake for mistake in judged if mistake[0]]


def _mistake(emulated: Result, virtual: Result, page: Page) -> str:
    answers = answer(emulated), answer(virtual)
    explained = name_of_module(emulated.module) in REASONS
    if answers[0] != answers[1] and not explained:
        return "they differ"
    if answers[0] == answers[1] and explained:
        return "they agree, though there is a reason why not"
    return "" if answers == page.answers(emulated.module) else "docs/fidelity.md says otherwise"


@pytest.mark.parametrize("part", range(PARTS))
def test_drawn(part: int, kernel: KernelFiles, root: Path, page: Page) -> None:
    chosen = part_of(drawn(candidates(kernel, root)), part, PARTS)
    assert mistakes(chosen, kernel, root, page) == []


@pytest.mark.full
@pytest.mark.parametrize("part", range(PARTS_OF_REST))
def test_rest(part: int, kernel: KernelFiles, root: Path, page: Page) -> None:
    every = candidates(kernel, root)
    taken = set(drawn(every))
    rest = [candidate for candidate in every if candidate not in taken]
    assert mistakes(part_of(rest, part, PARTS_OF_REST), kernel, root, page) == []


def test_the_page_lists_what_has_a_reason(kernel: KernelFiles, root: Path, page: Page) -> None:
    listed = {name_of_module(module): why for module, (_, _, why) in page.differing.items()}
    assert listed == REASONS
    assert len(candidates(kernel, root)) > 4000
    assert len(drawn(candidates(kernel, root))) == COUNT


def test_the_page_is_read_as_it_was_written(kernel: KernelFiles, root: Path, page: Page) -> None:
    """From what the page says of each module the same tables come again."""
    prefix = f"{root}/lib/modules/{kernel.release}/"
    modules = [c.path.removeprefix(prefix) for c in candidates(kernel, root)]
    again = [
        [Result(module, page.answers(module)[machine]) for module in modules] for machine in (0, 1)
    ]
    written = read(report(kernel.release, *again))
    assert written == page
