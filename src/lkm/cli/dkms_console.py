"""What the DKMS operations say, on standard output and standard error in the order said."""

from __future__ import annotations

import os
import subprocess
import sys

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lkm.operations.dkms.reporting import DkmsFailure


class Console:
    """Prints at once: callers read both streams merged, and dkms's words have an order."""

    def say(self, text: str = "", end: str = "\n") -> None:
        """Print to standard output."""
        _write(1, text + end)

    def complain(self, text: str) -> None:
        """Print a line to standard error."""
        _write(2, f"{text}\n")

    def run(self, command: Sequence[str], cwd: str, env: Mapping[str, str]) -> int:
        """Run a program on the same streams."""
        return subprocess.run(command, cwd=cwd, env=env, check=False).returncode

    def fail(self, failure: DkmsFailure) -> None:
        """Print why nothing was done."""
        lines = "\n".join(failure.lines)
        _write(2, f"\n{failure.kind} {lines}\n")


def silence() -> None:
    """Send both streams to nowhere, for what is run, too (``--quiet``)."""
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _write(descriptor: int, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(descriptor, data) :]
