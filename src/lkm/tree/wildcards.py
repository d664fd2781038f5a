"""Match a shell pattern one character at a time, as glibc's ``fnmatch(pattern, text, 0)`` does.

All prefixes of the text that the pattern so far can match are one integer (bit *n* set: the first
*n* bytes), so that feeding a character is one shift, and a walk over a trie of patterns shares
the work of their common beginnings and stops where no prefix is left.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

_STAR, _QUESTION, _OPEN, _CLOSE, _ESCAPE = b"*?[]\\"


class MatchProgress(NamedTuple):
    """How far a pattern has come: ``reached`` prefixes, and an unfinished bracket or escape."""

    reached: int
    pending: bytes = b""


START = MatchProgress(1)


class Text:
    """A text that patterns are matched against."""

    __slots__ = ("_all", "_places", "length")

    def __init__(self, text: bytes) -> None:
        self.length = len(text)
        self._all = (1 << (self.length + 1)) - 1
        places: dict[int, int] = {}
        for position, byte in enumerate(text):
            places[byte] = places.get(byte, 0) | (1 << position)
        self._places = places

    def feed(self, progress: MatchProgress, byte: int) -> MatchProgress:
        """Return the progress after one more byte of the pattern."""
        reached, pending = progress
        if pending:
            return self._feed_pending(reached, pending, byte)
        if byte == _STAR:
            return MatchProgress(self._all & -(reached & -reached))
        if byte == _QUESTION:
            return MatchProgress(reached << 1 & self._all)
        if byte in (_OPEN, _ESCAPE):
            return MatchProgress(reached, bytes((byte,)))
        return MatchProgress((reached & self._places.get(byte, 0)) << 1)

    def feed_all(self, progress: MatchProgress, pattern: bytes) -> MatchProgress:
        """Return the progress after ``pattern``, or as far as anything is still reached."""
        for byte in pattern:
            progress = self.feed(progress, byte)
            if not progress.reached:
                break
        return progress

    def matched(self, progress: MatchProgress) -> bool:
        """Say whether a pattern that ends here matches the whole text."""
        reached, pending = progress
        if pending[:1] == b"[":
            # A bracket that never closes stands for itself.
            literal = MatchProgress((reached & self._places.get(_OPEN, 0)) << 1)
            return self.matched(self.feed_all(literal, pending[1:]))
        return not pending and bool(reached >> self.length)

    def _feed_pending(self, reached: int, pending: bytes, byte: int) -> MatchProgress:
        if pending[0] == _ESCAPE:
            return MatchProgress((reached & self._places.get(byte, 0)) << 1)
        pending += bytes((byte,))
        if byte == _CLOSE and (members := bracket_members(pending)) is not None:
            places = self._places
            found = functools.reduce(int.__or__, (places.get(m, 0) for m in members), 0)
            return MatchProgress((reached & found) << 1)
        return MatchProgress(reached, pending)


def match(pattern: bytes, text: bytes) -> bool:
    """Say whether ``pattern`` matches the whole ``text``."""
    whole = Text(text)
    return whole.matched(whole.feed_all(START, pattern))


@functools.lru_cache(maxsize=1024)
def bracket_members(expression: bytes) -> frozenset[int] | None:
    """Return the bytes ``[…]`` stands for, or ``None`` when its last ``]`` does not close it."""
    position = 2 if expression[1:2] in (b"!", b"^") else 1
    members: set[int] = set()
    begin = position
    end = len(expression) - 1
    while position < end:
        if expression[position] == _CLOSE and position > begin:
            return None
        position = _add_member(expression, position, end, members)
    if position != end or position == begin:
        return None
    return frozenset(range(256)) - members if begin == 2 else frozenset(members)


def _add_member(expression: bytes, position: int, end: int, members: set[int]) -> int:
    """Add the member or range at ``position`` and return where the next one begins."""
    if expression.startswith(b"[:", position):
        close = expression.find(b":]", position + 2)
        if close < 0 or close >= end:
            return end + 1
        test = _TESTS.get(expression[position + 2 : close])
        members.update(c for c in range(128) if test is not None and test(chr(c)))
        return close + 2
    first, position = _character(expression, position)
    if expression[position : position + 1] == b"-" and position + 1 < end:
        last, position = _character(expression, position + 1)
        members.update(range(first, last + 1))
    else:
        members.add(first)
    return position


def _character(expression: bytes, position: int) -> tuple[int, int]:
    if expression[position] == _ESCAPE and position + 1 < len(expression):
        position += 1
    return expression[position], position + 1


_TESTS: dict[bytes, Callable[[str], bool]] = {
    b"alpha": str.isalpha,
    b"digit": str.isdigit,
    b"alnum": str.isalnum,
    b"upper": str.isupper,
    b"lower": str.islower,
    b"space": lambda c: c in " \t\n\v\f\r",
    b"blank": lambda c: c in " \t",
    b"xdigit": lambda c: c in "0123456789abcdefABCDEF",
    b"punct": lambda c: c.isprintable() and not c.isalnum() and c != " ",
    b"print": str.isprintable,
    b"graph": lambda c: c.isprintable() and c != " ",
    b"cntrl": lambda c: not c.isprintable(),
}
