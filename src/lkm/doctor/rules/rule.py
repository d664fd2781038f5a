"""One message and what it means."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lkm.doctor.finding import Finding

Explain = Callable[[re.Match[str]], Finding]

LONGEST = 2048
"""Of a line this much is held against the rules."""

# What stands for a part of a message; each is bounded, and begins where a word does.
_PARTS = {
    "{m}": r"(?<![\w./-])(?P<m>[\w-]{1,64})",
    "{o}": r"(?P<o>[\w-]{1,64})",
    "{s}": r"(?P<s>[\w.$]{1,512})",
    "{file}": r"(?<![^\s'\"`‘»«(=])(?P<m>[^\s'\"`‘’»«:()]{1,400})",
    "{r}": r"(?P<r>\d{1,3}\.\d[\w.+~-]{0,127})",
    "{e}": r"(?P<e>[^\n]{1,300})",
    "{at}": r"(?<!\S)(?P<at>[^\s:]{1,400}:\d{1,7}(?::\d{1,5})?)",
    "{any}": r"[^\n]{0,300}?",
    "{q}": r"[\"'`‘’“”»«„]",
}


@dataclass(frozen=True, slots=True)
class LogRule:
    """A message, and what it means.

    ``needle`` is text in lower case that every line with the message holds: looked for before the
    pattern. ``general``: a tool's line, which has several causes.
    """

    needle: str
    pattern: re.Pattern[str]
    explain: Explain
    general: bool = False


def rule(needle: str, pattern: str, explain: Explain, *, general: bool = False) -> LogRule:
    """Return the rule for a message; ``pattern`` is a regular expression, letter case aside.

    ``{m}`` stands for a module's name, ``{o}`` for another's, ``{s}`` for a symbol, ``{file}`` for a
    module's file (group ``m``), ``{r}`` for a release, ``{e}`` for the rest, ``{at}`` for a place in a source,
    ``{q}`` for a quotation mark of any language.
    """
    for part, expression in _PARTS.items():
        pattern = pattern.replace(part, expression)
    return LogRule(needle.lower(), re.compile(pattern, re.IGNORECASE), explain, general)
