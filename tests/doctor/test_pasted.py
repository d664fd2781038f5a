"""What people paste, of all kinds, and what must be said of it; the wording's source with each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from lkm.cli.commands import doctor, oops, taint

FOLDER = Path(__file__).parent / "pasted"


@dataclass
class Pasted:
    kind: str
    name: str
    source: str = ""
    text: list[str] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    unwanted: list[str] = field(default_factory=list)


def read(path: Path) -> list[Pasted]:
    cases: list[Pasted] = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.startswith("## "):
            cases.append(Pasted(path.stem, line[3:]))
        elif line.startswith("from: "):
            cases[-1].source = line[6:]
        elif line.startswith(">"):
            cases[-1].text.append(line[2:])
        elif line.startswith("? "):
            cases[-1].wanted.append(line[2:])
        elif line.startswith("! "):
            cases[-1].unwanted.append(line[2:])
        else:
            assert not line, f"{path.name}: {line}"
    return cases


CASES = [case for path in sorted(FOLDER.glob("*.txt")) for case in read(path)]


def answer(case: Pasted) -> str:
    text = "\n".join(case.text) + "\n"
    if case.kind == "taint":
        return CliRunner().invoke(taint.command, ["--", *case.text]).output
    if case.kind == "oops":
        return CliRunner().invoke(oops.command, ["-"], input=text).output
    return CliRunner().invoke(doctor.command, ["--log", "-"], input=text).output


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.kind}-{c.name}")
def test_what_is_pasted_is_understood(case: Pasted) -> None:
    said = answer(case)
    for wanted in case.wanted:
        assert re.search(wanted, said, re.MULTILINE), (wanted, said)
    for unwanted in case.unwanted:
        assert not re.search(unwanted, said, re.MULTILINE), (unwanted, said)


def test_there_are_many_and_each_tells_its_source() -> None:
    assert len(CASES) >= 200
    assert all(case.source and case.wanted and case.text for case in CASES)
