"""What kmod's tools print when a kernel refuses: kmod's own line, then what the kernel logged."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable


def kernel_log(lines: Iterable[str]) -> None:
    """Print what the kernel logged meanwhile, marked as such."""
    for line in lines:
        print(f"kernel: {line}", file=sys.stderr)


def outcome_text(number: int, killed_by: int, own_words: dict[int, str]) -> str:
    """Return what became of a system call, in a tool's own words where it has some."""
    if killed_by:
        name = signal.Signals(killed_by).name
        return f"killed by {name}: the kernel oopsed, see its log below"
    return own_words.get(number) or os.strerror(number)
