"""How the commands write some things: colours where they are wanted, lines that fit a terminal."""

from __future__ import annotations

import os
import sys

_NARROWEST = 20
_COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36}


def colons(digest: str) -> str:
    """Return a fingerprint the way mokutil and MokManager show it."""
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


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


def printable(text: str) -> str:
    """Return the text with control characters spelt out: it comes from a kernel or a module."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else _spelt(c) for c in text)


def _spelt(character: str) -> str:
    number = ord(character)
    return character if 0xDC80 <= number <= 0xDCFF else f"\\x{number:02x}"
