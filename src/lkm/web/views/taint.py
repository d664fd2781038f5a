"""Taint: the flags, a value in whatever form it was seen, and a flag caused for real."""

from __future__ import annotations

import re

from lkm import taint
from lkm.errors import UsageError
from lkm.operations.demonstration import taint_causes
from lkm.taint import TaintFlag
from lkm.web.contract.answers import Decoded, Taint, TaintFlagShown
from lkm.web.contract.requests import DecodeRequest, NoQuestion, TaintRequest
from lkm.web.views.running import Telling
from lkm.web.views.state import Surroundings

# kernel/panic.c: print_tainted; newer kernels spell the flags out after the letters.
_LINE = re.compile(r"Tainted: ([A-Z \[\]=_,]{1,400})")
_MOST = 1 << 64


def answer(_question: NoQuestion, _surroundings: Surroundings) -> Taint:
    """Return all flags."""
    return Taint(tuple(map(_shown, taint.FLAGS)))


def decode(request: DecodeRequest, _surroundings: Surroundings) -> Decoded:
    """Return what a number, letters or a line of a log say."""
    value, read = _value(request.text.strip())
    letters = taint.letters(value)
    flags = tuple(map(_shown, taint.decode(value)))
    return Decoded(value, letters, _line(value), flags, read, f"lkm taint {value}")


def run(request: TaintRequest, telling: Telling) -> None:
    """Cause a flag in a fresh kernel."""
    telling.started(["taint", request.letter])
    taint_causes.cause_taint(request.letter, request.kernel, telling.emit)


def _shown(flag: TaintFlag) -> TaintFlagShown:
    known = flag.letter != "?"
    how = taint_causes.how(flag.letter) if known else ""
    return TaintFlagShown(flag.bit, flag.letter, flag.meaning, flag.cause, known, how)


def _value(text: str) -> tuple[int, str]:
    """Return the value in a text, and what it was read as."""
    line = _LINE.search(text)
    if line is not None:
        found = line[1].split("[")[0]
        return taint.value_of(taint.from_letters(re.sub(r"[^A-Z]|G", "", found))), "a log line"
    if text.lower().startswith("not tainted"):
        return 0, "a log line"
    try:
        number = int(text, 0)
    except ValueError:
        return _of_letters(text), "letters"
    if not 0 <= number < _MOST:
        raise UsageError(f"a taint value is between 0 and 2^64, not {text}")
    return number, "a number"


def _of_letters(text: str) -> int:
    letters = re.sub(r"[\s()G]", "", text)
    known = {flag.letter for flag in taint.FLAGS}
    if not letters or set(letters) - known:
        raise UsageError(
            f"{text[:60]!r} is neither a number, nor taint letters, nor a line with “Tainted:”",
            hint="for example 12289, 0x3001, POE or Tainted: P           OE",
        )
    return taint.value_of(taint.from_letters(letters))


def _line(value: int) -> str:
    """Return what the kernel's reports say; bit 0 has a letter when it is not set too."""
    if not value:
        return "Not tainted"
    flags = {flag.bit: flag.letter for flag in taint.decode(value)}
    shown = [flags.get(flag.bit, "G" if flag.bit == 0 else " ") for flag in taint.FLAGS]
    return f"Tainted: {''.join(shown).rstrip()}"
