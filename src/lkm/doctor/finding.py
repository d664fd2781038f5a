"""The doctor's findings, each with its cause, evidence and fix."""

from __future__ import annotations

import enum
import errno as errno_names
from dataclasses import dataclass, replace


class Severity(enum.Enum):
    """How much a finding weighs."""

    FATAL = "fatal"
    """The kernel, or modprobe, will refuse."""
    UNKNOWN = "unknown"
    """It may refuse; what would decide it could not be read."""
    WARNING = "warning"
    """It loads, and something is not as it should be."""
    NOTE = "note"
    """Worth knowing."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact and where it was read: a value, the name of what it is, ``file:line`` or a path."""

    what: str
    value: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Fix:
    """A remedy in words, and as commands to copy (none where no command can do it)."""

    text: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One cause.

    ``name`` identifies it (stable, for scripts), ``errno`` is the positive error number to expect
    (0: none), ``message`` the kernel's log line without its time ("" where the kernel is silent),
    ``subject`` the symbol, parameter or module it is about.
    """

    name: str
    severity: Severity
    cause: str
    errno: int = 0
    message: str = ""
    module: str = ""
    subject: str = ""
    evidence: tuple[Evidence, ...] = ()
    fixes: tuple[Fix, ...] = ()

    @property
    def errno_name(self) -> str:
        """``ENOENT`` and the like; the bare number where it has no name, "" for none."""
        return name_of(self.errno)

    def with_evidence(self, *more: Evidence) -> Finding:
        """Return the same finding with further evidence."""
        return replace(self, evidence=(*self.evidence, *more))

    def with_severity(self, severity: Severity) -> Finding:
        """Return the same finding, weighed differently."""
        return replace(self, severity=severity)


# include/linux/errno.h: seen by user space only because a module's init returned it
_KERNEL_ONLY = {512: "ERESTARTSYS", 517: "EPROBE_DEFER", 524: "ENOTSUPP", 529: "EIOCBQUEUED"}


def name_of(errno: int) -> str:
    """Return the name of a positive error number, also of those no libc knows."""
    if not errno:
        return ""
    return errno_names.errorcode.get(errno) or _KERNEL_ONLY.get(errno) or str(errno)
