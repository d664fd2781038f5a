"""Print a refused load as kmod's tools do: kmod's own line, then the kernel's log lines."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lkm.kernel.kernel import Kernel


class RefusedMessages(Protocol):
    """The messages of a load that failed."""

    @property
    def errno(self) -> int:
        """The kernel's error number, 0 for none."""
        ...

    @property
    def signal(self) -> int:
        """The signal that killed the task, 0 for none."""
        ...

    @property
    def log(self) -> tuple[str, ...]:
        """The lines that the kernel logged meanwhile."""
        ...


def kernel_log(lines: Iterable[str]) -> None:
    """Print what the kernel logged meanwhile, marked as such."""
    for line in lines:
        print(f"kernel: {line}", file=sys.stderr)


def because(kernel: Kernel, path: str, parameters: str, refused: RefusedMessages) -> None:
    """Print the first thing the doctor knows about a refused load, and what to do."""
    from lkm.cli import findings  # a load that succeeds needs none of this
    from lkm.operations.explanation import first_finding

    finding = first_finding(
        kernel,
        path,
        parameters,
        errno=refused.errno,
        signal=refused.signal,
        lines=refused.log,
    )
    print(f"doctor: {findings.first_line(finding)}", file=sys.stderr)


def outcome_text(number: int, killed_by: int, own_words: dict[int, str]) -> str:
    """Return what became of a system call, in a tool's own words where it has some."""
    if killed_by:
        name = signal.Signals(killed_by).name
        return f"killed by {name}: the kernel oopsed, see its log below"
    return own_words.get(number) or os.strerror(number)
