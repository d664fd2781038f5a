"""Explain a kernel log or a pasted error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lkm.doctor import log
from lkm.doctor.distribution_table import DISTRIBUTIONS
from lkm.doctor.finding import Evidence, Severity
from lkm.doctor.log import Explanation, LogReading, with_line
from lkm.doctor.rules.all_rules import RULES
from lkm.operations.doctor import Opened, examine

__all__ = ["Explanation", "LogReading", "explain_log", "read_log", "with_line"]


def explain_log(text: str | Iterable[str], opened: Opened | None = None) -> tuple[Explanation, ...]:
    """Return the causes that a log or a pasted error shows: see ``read_log``."""
    return read_log(text, opened).explanations


def read_log(text: str | Iterable[str], opened: Opened | None = None) -> LogReading:
    """Return what a log or a pasted error, a text or its lines, shows.

    With a target, a tool's line that could mean several things is settled by judging the module
    it names, where its file is known.
    """
    found = log.read(text, RULES, DISTRIBUTIONS)
    if opened is None:
        return found
    settled = (_settled(each, opened) if each.general else each for each in found.explanations)
    return replace(found, explanations=tuple(settled))


def _settled(each: Explanation, opened: Opened) -> Explanation:
    module = each.finding.module
    if not module or opened.target.tree is None or module not in opened.target.tree.modules:
        return each
    examination = examine(module, (), opened)
    for step in examination.steps:
        for finding in step.judgement.findings:
            if finding.severity is Severity.FATAL and finding.errno == each.finding.errno:
                line = Evidence("the log says", each.text, f"line {each.line}")
                return replace(each, finding=finding.with_evidence(line), general=False)
    return each
