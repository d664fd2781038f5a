"""Taint: the flags, a value in whatever form it was seen, and a flag caused for real."""

from __future__ import annotations

from lkm import taint
from lkm.operations.demonstration import taint_causes
from lkm.operations.running.taint import of_text
from lkm.taint import TaintFlag
from lkm.web.contract.answers import Decoded, Taint, TaintFlagShown
from lkm.web.contract.requests import DecodeRequest, NoQuestion, TaintRequest
from lkm.web.views.running import Telling
from lkm.web.views.state import Surroundings


def answer(_question: NoQuestion, _surroundings: Surroundings) -> Taint:
    """Return all flags."""
    return Taint(tuple(map(_shown, taint.FLAGS)))


def decode(request: DecodeRequest, _surroundings: Surroundings) -> Decoded:
    """Return what a number, letters or a line of a log say."""
    text = request.text.strip()
    value = of_text(text).value
    flags = tuple(map(_shown, taint.decode(value)))
    letters, command = taint.letters(value), f"lkm taint {value}"
    return Decoded(value, letters, _line(value), flags, _read_as(text), command)


def run(request: TaintRequest, telling: Telling) -> None:
    """Cause a flag in a fresh kernel."""
    telling.started(["taint", request.letter])
    taint_causes.cause_taint(request.letter, request.kernel, telling.emit)


def _shown(flag: TaintFlag) -> TaintFlagShown:
    known = flag.letter != "?"
    how = taint_causes.how(flag.letter) if known else ""
    return TaintFlagShown(flag.bit, flag.letter, flag.meaning, flag.cause, known, how)


def _read_as(text: str) -> str:
    if "ainted" in text:
        return "a log line"
    return "a number" if text[:1].isdigit() else "letters"


def _line(value: int) -> str:
    """Return what the kernel's reports say; bit 0 has a letter when it is not set too."""
    if not value:
        return "Not tainted"
    flags = {flag.bit: flag.letter for flag in taint.decode(value)}
    shown = [flags.get(flag.bit, "G" if flag.bit == 0 else " ") for flag in taint.FLAGS]
    return f"Tainted: {''.join(shown).rstrip()}"
