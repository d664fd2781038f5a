"""Explain a kernel log or a pasted error."""

from __future__ import annotations

from dataclasses import replace

from lkm.doctor import log
from lkm.doctor.finding import Evidence, Severity
from lkm.doctor.log import Explanation, with_line
from lkm.doctor.log_rules import RULES
from lkm.operations.doctor import Opened, examine

__all__ = ["Explanation", "explain_log", "with_line"]


def explain_log(text: str, opened: Opened | None = None) -> tuple[Explanation, ...]:
    """Return the causes that a kernel log or a pasted error shows.

    With a target, a tool's line that could mean several things is settled by judging the module
    it names, where its file is known.
    """
    found = log.explain(text, RULES)
    if opened is None:
        return found
    return tuple(_settled(each, opened) if each.general else each for each in found)


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
