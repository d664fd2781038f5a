"""Every exception that lkm raises on purpose.

::

    LkmError                    anything below; .hint says what to do next
    ├── FormatError             bytes or text that are not what they claim to be
    ├── NotFoundError           a file, module, symbol or kernel that is not there
    ├── UnsupportedError        a limit of lkm or of the chosen kernel, named
    ├── KernelError             a kernel refused an operation
    │   └── KernelDiedError     the kernel panicked, hung or went away
    ├── ToolError               a program or library that is missing or failed
    │   └── BuildError          modules that cannot be built of their source
    └── UsageError              a call that cannot mean anything

An operating-system error on a file the user named (no permission, no space) stays an
``OSError``; the command line prints it with its file name.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence


_NOTED = 3


class LkmError(Exception):
    """Something lkm was asked to do cannot be done; ``hint`` says what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class FormatError(LkmError):
    """Bytes or text that are not what they claim to be.

    ``offset`` counts bytes from the start of ``path`` (``None`` where no single place is to
    blame); ``expected`` and ``found`` are short texts.
    """

    def __init__(
        self,
        expected: str,
        found: str,
        *,
        path: str = "",
        offset: int | None = None,
        hint: str = "",
    ) -> None:
        place = path or "<bytes>"
        if offset is not None:
            place += f" at offset {offset:#x}"
        super().__init__(f"{place}: expected {expected}, found {found}", hint=hint)
        self.path = path
        self.offset = offset
        self.expected = expected
        self.found = found


class NotFoundError(LkmError):
    """A file, module, symbol or kernel that is not there."""


class UnsupportedError(LkmError):
    """A limit of lkm or of the chosen kernel, named rather than guessed around."""


class UsageError(LkmError):
    """A call that cannot mean anything; the command line exits with status 2."""


class KernelError(LkmError):
    """A kernel refused an operation.

    ``errno`` is the kernel's positive error number (0 when the task was killed), ``signal`` the
    signal that killed the calling task (0 when none did), ``operation`` the system call with its
    arguments, ``log`` the kernel log lines written meanwhile.
    """

    def __init__(
        self,
        operation: str,
        *,
        errno: int = 0,
        signal: int = 0,
        log: Sequence[str] = (),
        hint: str = "",
    ) -> None:
        outcome = f"killed by signal {signal}" if signal else os.strerror(errno)
        super().__init__(f"{operation}: {outcome}", hint=hint)
        self.operation = operation
        self.errno = errno
        self.signal = signal
        self.log = tuple(log)
        for line in self.log[-_NOTED:]:
            self.add_note(f"the kernel logged: {line}")  # shown below a traceback


class KernelDiedError(KernelError):
    """The kernel panicked, hung or went away; ``log`` is what it said last."""

    def __init__(
        self, operation: str, reason: str, *, log: Sequence[str] = (), hint: str = ""
    ) -> None:
        super().__init__(operation, log=log, hint=hint)
        self.message = f"{operation}: {reason}"
        self.reason = reason


class ToolError(LkmError):
    """A program or library that is missing or failed.

    ``command`` is the command line as one can paste it, ``returncode`` its exit status (``None``
    when it could not be started), ``output`` what it printed.
    """

    def __init__(
        self,
        message: str,
        *,
        command: Sequence[str] = (),
        returncode: int | None = None,
        output: str = "",
        hint: str = "",
    ) -> None:
        if command:
            import shlex  # 3 ms with what it needs, for an error that most commands never meet

            message = f"{message}: {shlex.join(command)}"
        super().__init__(message, hint=hint)
        self.command = tuple(command)
        self.returncode = returncode
        self.output = output


class BuildError(ToolError):
    """Modules that cannot be built of their source.

    ``output`` is the compiler's own, ``decisive`` the line of it that says why; ``causes`` say in
    a sentence each what is behind it, where that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        command: Sequence[str],
        returncode: int,
        output: str,
        decisive: str = "",
        causes: Sequence[str] = (),
        hint: str = "",
    ) -> None:
        super().__init__(message, returncode=returncode, output=output, hint=hint)
        self.command = tuple(command)  # not in the message: the author did not type it
        self.decisive = decisive
        self.causes = tuple(causes)


def missing_extra(module: str, extra: str) -> ToolError:
    """Return the error for an optional Python package that is not installed."""
    return ToolError(
        f"the Python package {module!r} is not installed",
        hint=f"pip install 'lkm[{extra}]'",
    )
