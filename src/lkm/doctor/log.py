"""A kernel log, or the pasted error of a tool → which of the many causes it was.

The kernel's own lines name one cause each. The tools' lines (insmod, modprobe, rmmod, dkms, make)
stand for several: they count only for a module of which the kernel said nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from lkm.doctor import lines
from lkm.doctor.finding import Evidence, Finding, Severity
from lkm.doctor.lines import LogLine

Explain = Callable[[re.Match[str]], Finding]


@dataclass(frozen=True, slots=True)
class LogRule:
    """A message, and what it means. ``general``: a tool's line, which has several causes."""

    pattern: re.Pattern[str]
    explain: Explain
    general: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """A line of the log (counted from 1) and the cause it shows."""

    line: int
    text: str
    finding: Finding
    general: bool = False


def explain(text: str, rules: Sequence[LogRule]) -> tuple[Explanation, ...]:
    """Return what ``text`` shows, fatal causes first, else in the log's order; each cause once."""
    found = list(_matches(lines.read(text), rules))
    named = _once(_with_module(each, found) for each in found)
    return tuple(_ranked(_without_echoes(named)))


def _matches(log: Iterable[LogLine], rules: Sequence[LogRule]) -> Iterator[Explanation]:
    seen: set[str] = set()
    for line in log:
        text = line.text.strip()
        if text in seen:
            continue
        seen.add(text)
        for rule in rules:
            match = rule.pattern.search(text)
            if match is not None:
                yield Explanation(line.number, text, rule.explain(match), rule.general)
                break


def _with_module(each: Explanation, found: Sequence[Explanation]) -> Explanation:
    """Name the module where the message does not: a later line on the same thing has it."""
    finding = each.finding
    if finding.module or each.general:
        return each
    later = [e for e in found if e.line >= each.line and e.finding.module]
    same = (e for e in later if finding.subject and e.finding.subject == finding.subject)
    tool = (e for e in later if e.general)
    named = next(same, None) or next(tool, None)
    if named is None:
        return each
    return replace(each, finding=replace(finding, module=named.finding.module))


def _once(found: Iterable[Explanation]) -> list[Explanation]:
    """Keep the first of each cause: what the kernel says in two lines is one thing."""
    seen: set[tuple[str, str, str]] = set()
    kept = []
    for each in found:
        key = (each.finding.name, each.finding.module, each.finding.subject)
        if key not in seen:
            seen.add(key)
            kept.append(each)
    return kept


def _without_echoes(found: Sequence[Explanation]) -> list[Explanation]:
    """Leave out lines that a more specific line explains: tools' lines, and ``err -22`` echoes."""
    kernel = [e for e in found if not e.general and e.finding.severity is Severity.FATAL]
    told = {e.finding.module for e in kernel}
    subjects = {(e.finding.module, e.finding.subject) for e in kernel if not _is_echo(e)}
    kept = []
    for each in found:
        finding = each.finding
        if each.general and (finding.module in told or (told and not finding.module)):
            continue
        if _is_echo(each) and (finding.module, finding.subject) in subjects:
            continue
        kept.append(each)
    return kept


def _is_echo(each: Explanation) -> bool:
    return "(err -22)" in each.text


def _ranked(found: Sequence[Explanation]) -> list[Explanation]:
    fatal = (Severity.FATAL, Severity.UNKNOWN)
    return sorted(found, key=lambda e: (e.finding.severity not in fatal, e.general))


def with_line(each: Explanation) -> Finding:
    """Return the finding with the line of the log as its first evidence."""
    line = Evidence("the log says", each.text, f"line {each.line}")
    return replace(each.finding, evidence=(line, *each.finding.evidence))
