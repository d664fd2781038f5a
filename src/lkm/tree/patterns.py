"""Rules found by a name that their own name, as a pattern, matches; in the order written.

With a hundred thousand rules a look-up still tries only those whose plain beginning fits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from lkm.tree.config import Rule
from lkm.tree.wildcards import match

_SPECIAL = re.compile(r"[*?\[\\]")


class PatternTable:
    """Rules by name; ``matching`` compares as ``fnmatch(pattern, name, 0)`` does."""

    __slots__ = ("_lengths", "_named", "_plain", "_rules", "_wild")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        self._plain: dict[str, list[int]] = {}
        self._wild: dict[str, list[int]] = {}
        self._named: dict[str, Rule] = {}
        for place, rule in enumerate(self._rules):
            self._named.setdefault(rule.name, rule)
            special = _SPECIAL.search(rule.name)
            if special:
                self._wild.setdefault(rule.name[: special.start()], []).append(place)
            else:
                self._plain.setdefault(rule.name, []).append(place)
        self._lengths = sorted({len(beginning) for beginning in self._wild})

    def matching(self, name: str) -> list[Rule]:
        """Return the rules whose pattern matches ``name``, in order."""
        places = list(self._plain.get(name, ()))
        if self._wild:
            places += self._matching_wild(name)
            places.sort()
        return [self._rules[place] for place in places]

    def first(self, name: str) -> Rule | None:
        """Return the first rule whose pattern matches ``name``."""
        found = self.matching(name)
        return found[0] if found else None

    def named(self, name: str) -> Rule | None:
        """Return the first rule whose pattern is ``name`` to the letter."""
        return self._named.get(name)

    def _matching_wild(self, name: str) -> list[int]:
        text = os.fsencode(name)
        return [
            place
            for length in self._lengths
            if length <= len(name)
            for place in self._wild.get(name[:length], ())
            if match(os.fsencode(self._rules[place].name), text)
        ]
