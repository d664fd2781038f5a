"""The verdict on a load that has not happened, and the findings it rests on."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from lkm.doctor.case import Case
from lkm.doctor.causes import format
from lkm.doctor.finding import Finding, Severity
from lkm.doctor.gates import AFTER_ELF, BEFORE_ELF, Gate
from lkm.doctor.target import Target
from lkm.errors import FormatError
from lkm.module.image import ModuleImage


class Verdict(enum.Enum):
    """The outcome of a load, as far as it can be known without running the module."""

    LOADS = "loads"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judged module: the verdict and the findings it rests on.

    ``errno`` and ``message`` are those of ``decisive``, the finding the kernel would answer with.
    ``findings`` are all, the decisive one first; ``passed`` the gates that had nothing to say;
    ``gate`` is the one that refuses.
    """

    module: str
    path: str
    target: str
    verdict: Verdict
    decisive: Finding | None
    findings: tuple[Finding, ...]
    passed: tuple[str, ...]
    gate: str = ""

    @property
    def loads(self) -> bool:
        """Whether nothing the doctor knows stands against it."""
        return self.verdict is Verdict.LOADS

    @property
    def errno(self) -> int:
        """The errno to expect, 0 where it loads."""
        return self.decisive.errno if self.decisive else 0


def judge(case: Case) -> Judgement:
    """Put ``case`` through every gate.

    Gates after the one that refuses are asked too, for what else is wrong; what the file's damage
    keeps them from seeing is left out.
    """
    findings: list[Finding] = []
    passed: list[str] = []
    decisive: Finding | None = None
    refused_by = ""
    for name, gate in _gates(findings):
        found = _ask(gate, case)
        findings += found
        fatal = [each for each in found if each.severity is Severity.FATAL]
        if not found:
            passed.append(name)
        if decisive is None and fatal:
            decisive, refused_by = fatal[-1], name
    return Judgement(
        module=case.module,
        path=case.path,
        target=case.target.name,
        verdict=Verdict.REFUSED if decisive else Verdict.LOADS,
        decisive=decisive,
        findings=_ordered(findings, decisive),
        passed=tuple(passed),
        gate=refused_by,
    )


def _gates(findings: list[Finding]) -> Iterator[tuple[str, Gate]]:
    """Yield the gates; those that read the ELF file only while it can be read."""
    yield from BEFORE_ELF
    unreadable = ("not-elf", "damaged-file", "not-relocatable", "empty-file", "wrong-machine")
    for name, gate in AFTER_ELF:
        if any(finding.name in unreadable for finding in findings):
            return
        yield name, gate


def _ask(gate: Gate, case: Case) -> list[Finding]:
    """Ask one gate; a file that breaks off under it is damaged, whatever the kernel calls it."""
    found: list[Finding] = []
    try:
        found += gate(case)
    except FormatError as error:
        what = f"expected {error.expected}, found {error.found}"
        found.append(format.damaged("", case.path, what))
    return found


_WEIGHT = {
    Severity.FATAL: 0,
    Severity.UNKNOWN: 1,
    Severity.WARNING: 2,
    Severity.NOTE: 3,
}


def _ordered(findings: list[Finding], decisive: Finding | None) -> tuple[Finding, ...]:
    rest = [finding for finding in findings if finding is not decisive]
    rest.sort(key=lambda finding: _WEIGHT[finding.severity])
    return (decisive, *rest) if decisive is not None else tuple(rest)


def case_for(path: str, data: bytes, target: Target, parameters: str = "") -> Case:
    """Return the case of the module file ``path`` with content ``data`` (perhaps packed).

    Raises FormatError for a compressed file that cannot be unpacked.
    """
    image = ModuleImage.from_bytes(data, path)
    return Case(image, target, image.payload, parameters)
