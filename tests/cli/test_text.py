"""Text of any origin does not act on a terminal, and JSON stays JSON."""

from __future__ import annotations

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from lkm.cli.output import json_text
from lkm.cli.text import InertOutput, inert, printable

ACTING = "\x1b[2J\x1b]0;owned\x07\r\b\x7f\x9b31m\u202egpj\u2028"


@given(st.text())
def test_json_keeps_every_text(text: str) -> None:
    written = json_text({"text": text + ACTING})
    assert json.loads(written) == {"text": text + ACTING}
    assert not any(character in written for character in ACTING if not character.isprintable())


def test_bytes_that_are_no_text_have_a_form() -> None:
    assert json.loads(json_text({"name": "na\udce9"})) == {"name": "na\ufffd"}


@given(st.text())
def test_what_is_printable_is_one_line(text: str) -> None:
    assert printable(text + ACTING).isprintable()
    assert printable(text) == text or not text.isprintable()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_colours_reach_a_terminal() -> None:
    terminal = _Terminal()
    InertOutput(terminal).write(f"\x1b[1;31mred\x1b[0m\tand\n{ACTING}")
    shown = terminal.getvalue()
    assert shown.startswith("\x1b[1;31mred\x1b[0m\tand\n\\u001b[2J\\u001b]0;owned\\u0007\\u000d")
    assert shown.count("\x1b") == 2


def test_no_sequence_reaches_a_file() -> None:
    file = io.StringIO()
    InertOutput(file).write("\x1b[31mred")
    assert file.getvalue() == "\\u001b[31mred"
    assert inert("a\tb\nc") == "a\tb\nc"
