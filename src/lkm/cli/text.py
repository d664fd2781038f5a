"""How the commands write text that comes from elsewhere."""

from __future__ import annotations

import re

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from typing import Any, TextIO

_ACTING = "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069"
_ANY_ACTING = re.compile(f"[{_ACTING}]")
_ANY_BUT_COLOURS = re.compile(f"(\\x1b\\[[0-9;]{{0,20}}m)|[{_ACTING}]")


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
