"""What the DKMS operations say, and how they fail."""

from __future__ import annotations

import os
import subprocess
import tempfile

from lkm.errors import LkmError

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    class Reporter(Protocol):
        """Takes what is said while something is done, in the order in which it is said."""

        def say(self, text: str = "", end: str = "\n") -> None:
            """Take a line for standard output."""

        def complain(self, text: str) -> None:
            """Take a line for standard error."""

        def run(self, command: Sequence[str], cwd: str, env: Mapping[str, str]) -> int:
            """Run a program whose output belongs to what is said; return its exit status."""

else:
    Reporter = object


class DkmsFailure(LkmError):
    """dkms's ``die``: what it says, line by line, and its exit status.

    ``kind`` is ``Error!`` or ``Warning:``.
    """

    def __init__(self, status: int, *lines: str, kind: str = "Error!") -> None:
        super().__init__("\n".join(lines))
        self.status = status
        self.lines = lines
        self.kind = kind


class ScriptFailure(DkmsFailure):
    """A package's script failed; its status is that of the script, and all has been said."""

    def __init__(self, status: int) -> None:
        super().__init__(status)


def tell(reporter: Reporter, failure: DkmsFailure) -> None:
    """Say why something failed."""
    if not failure.lines:
        return
    if failure.kind == "Warning:":
        warn(reporter, *failure.lines)
    else:
        error(reporter, *failure.lines)


def error(reporter: Reporter, *lines: str) -> None:
    """Report an error in dkms's form."""
    reporter.complain("\nError! " + "\n".join(lines))


def warn(reporter: Reporter, *lines: str) -> None:
    """Report a warning in dkms's form."""
    reporter.complain("Warning: " + "\n".join(lines))


class Recorder:
    """A reporter that keeps what is said until it is passed on, for work done side by side."""

    def __init__(self) -> None:
        self._kept: list[tuple[bool, str]] = []

    def say(self, text: str = "", end: str = "\n") -> None:
        """Keep a line for standard output."""
        self._kept.append((False, text + end))

    def complain(self, text: str) -> None:
        """Keep a line for standard error."""
        self._kept.append((True, text))

    def run(self, command: Sequence[str], cwd: str, env: Mapping[str, str]) -> int:
        """Run a program and keep its output."""
        with tempfile.TemporaryFile() as output:
            status = subprocess.run(
                command, cwd=cwd, env=env, stdout=output, stderr=subprocess.STDOUT, check=False
            ).returncode
            output.seek(0)
            self._kept.append((False, os.fsdecode(output.read())))
        return status

    @property
    def text(self) -> str:
        """All that was said, on both streams."""
        return "".join(f"{text}\n" if complaint else text for complaint, text in self._kept)

    def pass_on(self, reporter: Reporter) -> None:
        """Say all that was kept, in its order."""
        for is_complaint, text in self._kept:
            if is_complaint:
                reporter.complain(text)
            else:
                reporter.say(text, end="")
        self._kept.clear()
