"""Reads the console transcripts out of a Markdown file and compares them with what really comes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Step:
    """One ``$ command`` of a console block and the lines it is said to print."""

    line: int
    command: str
    expected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Transcript:
    """One console block; its steps run one after the other in one folder."""

    path: str
    line: int
    steps: tuple[Step, ...]


def transcripts(path: Path) -> list[Transcript]:
    """Return the blocks fenced as ``console``, in order."""
    found: list[Transcript] = []
    block: list[tuple[int, str]] | None = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if block is None:
            block = [] if line.strip() == "```console" else None
        elif line.strip() == "```":
            found.append(Transcript(path.name, block[0][0] if block else number, _steps(block)))
            block = None
        else:
            block.append((number, line))
    return found


def _steps(block: list[tuple[int, str]]) -> tuple[Step, ...]:
    steps: list[Step] = []
    for number, line in block:
        if line.startswith("$ "):
            steps.append(Step(number, line[2:], ()))
        elif steps:
            last = steps.pop()
            steps.append(Step(last.line, last.command, (*last.expected, line)))
    return tuple(steps)


def pattern(expected: tuple[str, ...]) -> re.Pattern[str]:
    """Return what the output must match: ``...`` alone is any lines, ``…`` any text in a line."""
    parts = []
    for line in expected:
        if line.strip() == "...":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            text = re.sub(r"[ \t]+", " ", line.rstrip())
            escaped = re.escape(text).replace("…", r"[^\n]*?")
            parts.append(re.sub(r"(?:\\ )+", r"[ \t]+", escaped) + r"[ \t]*\n")
    return re.compile("".join(parts))
