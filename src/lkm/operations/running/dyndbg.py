"""List and set the dynamic-debug call sites of a kernel."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from lkm.doctor import dyndbg
from lkm.doctor.dyndbg import DebugSite, Query
from lkm.errors import NotFoundError, UsageError
from lkm.kernel.kernel import Kernel

__all__ = ["DebugSite", "Query", "SwitchedSites", "change", "option_at_load", "sites"]


@dataclass(frozen=True, slots=True)
class SwitchedSites:
    """The query that was written, and the call sites it matches as they are now."""

    command: str
    sites: tuple[DebugSite, ...]


def sites(kernel: Kernel, query: Query) -> tuple[DebugSite, ...]:
    """Return the call sites that ``query`` means, in the kernel's order."""
    path = _control(kernel)
    return dyndbg.matching(dyndbg.parse_control(kernel.read_text(path), path), query)


def change(kernel: Kernel, query: Query, flags: str) -> SwitchedSites:
    """Set ``flags`` on the sites that ``query`` means.

    Raises NotFoundError when it means none, UsageError for a flag or keyword the kernel has not.
    """
    command = dyndbg.command(query, flags)
    if not sites(kernel, query):
        raise NotFoundError(
            "no call site is meant by this",
            hint="a module's sites are there only while it is loaded; see `lkm dyndbg --at-load`",
        )
    try:
        kernel.write_file(_control(kernel), command + "\n")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise UsageError(
            f"this kernel does not understand {command!r}",
            hint="its log says what it stumbled over; classes and the flag s are newer than 6.0",
        ) from None
    return SwitchedSites(command, sites(kernel, query))


def option_at_load(query: Query, flags: str) -> str:
    """Return the module option that sets ``flags`` while the module is being loaded."""
    text = dyndbg.command(query, flags, at_load=True)
    return f'dyndbg="{text}"' if " " in text else f"dyndbg={text}"


def _control(kernel: Kernel) -> str:
    for path in dyndbg.CONTROL_FILES:
        if kernel.exists(path):
            return path
    raise NotFoundError(
        f"{kernel.name} shows no dynamic_debug/control",
        hint="it needs CONFIG_DYNAMIC_DEBUG; before 5.7 also debugfs: "
        "mount -t debugfs none /sys/kernel/debug",
    )
