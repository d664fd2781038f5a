"""Causing taint flags for real, in an emulated kernel."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlagCause:
    """A taint flag that is set: the loaded modules that carry it, the log lines that tell."""

    bit: int
    letter: str
    meaning: str
    modules: tuple[str, ...]
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaintNow:
    """The kernel's taint, as /proc/sys/kernel/tainted has it, and each flag's cause."""

    value: int
    letters: str
    causes: tuple[FlagCause, ...]
    file: str
