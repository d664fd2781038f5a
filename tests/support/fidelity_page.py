"""What docs/fidelity.md says of a module: reading it back, so that it can be held to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.sweep import LOADED, Result

PAGE = Path(__file__).parents[2] / "docs/fidelity.md"
DIFFERENCES = "## Where the two differ"
NOT_LOADED = "## Each that does not load in the emulated machine"


def short(module: str) -> str:
    """Return a module's path as the page has it."""
    return module.removeprefix("kernel/").partition(".ko")[0]


def answer(result: Result) -> str:
    """Return the result of a load as the page has it."""
    text = result.outcome.partition(", at ")[0]
    return f"{text} (of its dependency {short(result.dependency)})" if result.dependency else text


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of the page's tables: module to answer, and to answers in both machines and why."""

    not_loaded: dict[str, str]
    differing: dict[str, tuple[str, str, str]]

    def answers(self, module: str) -> tuple[str, str]:
        """Return what the page says of a module in the emulated and in the virtual machine."""
        emulated = self.not_loaded.get(short(module), LOADED)
        return emulated, self.differing.get(short(module), ("", emulated))[1]


def read(text: str) -> Page:
    """Read a page that ``fidelity_report`` has written."""
    differing = {
        module: (emulated, virtual, why)
        for module, emulated, virtual, why in _rows(text.partition(DIFFERENCES)[2])
    }
    not_loaded = {row[0]: row[1] for row in _rows(text.partition(NOT_LOADED)[2])}
    return Page(not_loaded, differing)


def _rows(text: str) -> list[list[str]]:
    section = text.partition("\n## ")[0].strip().splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in section[2:]]
