<<<<<<< HEAD
"""How the commands write some things: colours where they are wanted, lines that fit a terminal."""

from __future__ import annotations

import os
import sys

_NARROWEST = 20
_COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36}
=======
"""How the commands write some things, and text that comes from elsewhere."""

from __future__ import annotations

import re

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from typing import Any, TextIO

_ACTING = "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069"
_ANY_ACTING = re.compile(f"[{_ACTING}]")
_ANY_BUT_COLOURS = re.compile(f"(\\x1b\\[[0-9;]{{0,20}}m)|[{_ACTING}]")
>>>>>>> main


def colons(digest: str) -> str:
    """Return a fingerprint the way mokutil and MokManager show it."""
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


<<<<<<< HEAD
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
=======
def printable(text: str, keep: str = "") -> str:
    """Return ``text`` with what is not printable spelt out, but for the characters in ``keep``.

    Logs, names and descriptions come from modules and files of any origin. Control characters,
    line ends and marks that turn the direction of writing would act on the terminal.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _spelt_out(c) for c in text)


def _spelt_out(character: str) -> str:
    number = ord(character)
    # A byte that is no UTF-8 was read as a surrogate.
    return f"\\x{number - 0xDC00:02x}" if 0xDC80 <= number <= 0xDCFF else repr(character)[1:-1]


def inert(text: str, *, colours: bool = False) -> str:
    """Return ``text`` with what acts on a terminal spelt ``\\u001b``, as in JSON.

    Line ends and tabulators stay, as do ``colours``: the sequences that set them.
    """
    if colours:
        return _ANY_BUT_COLOURS.sub(lambda found: found[1] or _as_json(found[0]), text)
    return _ANY_ACTING.sub(lambda found: _as_json(found[0]), text)


def _as_json(character: str) -> str:
    return f"\\u{ord(character):04x}"


class InertOutput:
    """Standard output for text of any origin: no control sequence but our colours gets through.

    Bytes, for what is passed on as it is, still go to ``buffer``.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colours = stream.isatty()

    def write(self, text: str) -> int:
        """Write ``text``, made inert."""
        return self._stream.write(inert(text, colours=self._colours))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
>>>>>>> main
