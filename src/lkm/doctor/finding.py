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


class Need(enum.StrEnum):
    """What a fix wants from the distribution: each has its own commands for it."""

    HEADERS = "headers"
    """The headers of a kernel, to build modules against."""
    MODULES = "modules"
    """The modules of a kernel that its main package leaves out."""
    KERNEL = "kernel"
    """A kernel with its modules."""
    REINSTALL = "reinstall"
    """The package that owns a file, again."""
    INITRAMFS = "initramfs"
    """The initramfs made anew."""
    BOOT_OPTIONS = "boot-options"
    """The kernel's command line edited."""
    COMPILER = "compiler"
    """The compiler and make."""
    DKMS = "dkms"
    """Modules of DKMS, or of what the distribution has for it, built for a kernel."""
    REBOOT = "reboot"
    """A reboot, where the distribution removes the running kernel's modules when it upgrades."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A remedy in words, and as commands to copy (none where no command can do it).

    ``need`` is what it takes from the distribution, ``about`` the release or path that is meant:
    ``lkm.doctor.distributions.adapted`` puts that distribution's commands before ``commands``.
    """

    text: str
    commands: tuple[str, ...] = ()
    need: Need | None = None
    about: str = ""


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
