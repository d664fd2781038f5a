"""Findings as text: the verdict, the evidence side by side, the fix as commands to copy."""

from __future__ import annotations

from collections.abc import Iterable

from lkm.doctor.finding import Finding, Severity

_SHOWN = 8
_WORDS = {
    Severity.FATAL: "refused",
    Severity.UNKNOWN: "unknown",
    Severity.WARNING: "warning",
    Severity.NOTE: "note",
}


def text_of(finding: Finding, *, indent: str = "") -> str:
    """Return one finding as lines, each ending in a newline."""
    lines = [f"{_WORDS[finding.severity]}: {printable(finding.cause)}"]
    if finding.errno and finding.severity is Severity.FATAL:
        lines.append(f"  errno     {finding.errno_name}")
    if finding.message:
        lines.append(f"  log       {printable(finding.message)}")
    width = max((len(evidence.what) for evidence in finding.evidence), default=0)
    for evidence in finding.evidence:
        where = f"  ({evidence.source})" if evidence.source else ""
        lines.append(f"  {evidence.what:{max(width, 9)}} {printable(evidence.value)}{where}")
    for fix in finding.fixes:
        lines.append(f"  fix       {printable(fix.text)}")
        lines += [f"      {printable(command)}" for command in fix.commands]
    return "".join(f"{indent}{line}\n" for line in lines)


def texts_of(findings: Iterable[Finding]) -> str:
    """Return several findings, a blank line between them."""
    return "\n".join(text_of(finding) for finding in findings)


def grouped(findings: Iterable[Finding]) -> str:
    """Return several findings, those of one cause as one: its first, and the others' subjects."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.name, []).append(finding)
    return "\n".join(group_text(group) for group in groups.values())


def group_text(group: list[Finding]) -> str:
    """Return findings of one cause as one: the first, and the others' subjects."""
    text = text_of(group[0])
    others = [finding.subject for finding in group[1:] if finding.subject]
    if not others:
        return text
    shown = ", ".join(others[:_SHOWN]) + (", …" if len(others) > _SHOWN else "")
    return f"{text}  likewise  {len(others)} more: {shown}\n"


def first_line(finding: Finding) -> str:
    """Return the finding in one line, with its first command."""
    command = next((fix.commands[0] for fix in finding.fixes if fix.commands), "")
    return f"{finding.cause}" + (f"\n  try: {command}" if command else "")


def printable(text: str) -> str:
    """Return ``text`` with control characters as dmesg shows them, ``\\x7f``."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
