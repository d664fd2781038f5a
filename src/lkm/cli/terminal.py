"""Colours where they are wanted, and lines that fit the terminal."""

from __future__ import annotations

import os
import sys

_NARROWEST = 20
_COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36}


def is_coloured() -> bool:
    """Return whether the output is a terminal that shows colours, and the user wants them.

    ``NO_COLOR`` with any text in it asks for none (https://no-color.org).
    """
    dumb = os.environ.get("TERM", "") in ("", "dumb")
    return sys.stdout.isatty() and not dumb and not os.environ.get("NO_COLOR")


def coloured(text: str, colour: str | None, *, bold: bool = True) -> str:
    """Return the text in a colour, where colours are shown."""
    if not is_coloured():
        return text
    codes = [*(["1"] if bold else []), *([str(_COLOURS[colour])] if colour else [])]
    return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if codes else text


def width() -> int:
    """Return how many columns a line may have; 0 where the output is no terminal: any number."""
    if not sys.stdout.isatty():
        return 0
    import shutil  # 5 ms, which only terminals cost

    return shutil.get_terminal_size().columns


def wrapped(text: str, indent: int) -> list[str]:
    """Return the lines of a text that begins at column ``indent``; one where it need not fit."""
    columns = width()
    if not columns or len(text) + indent <= columns:
        return [text]
    import textwrap  # as above

    room = max(columns - indent, _NARROWEST)
    return textwrap.wrap(text, room, break_on_hyphens=False, drop_whitespace=True) or [""]


def shortened(path: str, indent: int) -> str:
    """Return a path, without its first folders where it does not fit behind ``indent`` columns."""
    room = width() - indent
    if room < 0 or len(path) <= room:
        return path
    start = path.find("/", len(path) - room + 1)
    return f"…{path[start:]}" if start >= 0 else path
