"""Does the kernel's command line forbid it? (``kernel/module/main.c: blacklisted``)"""

from __future__ import annotations

from collections.abc import Iterator

from lkm.doctor.case import Case
from lkm.doctor.causes import permission
from lkm.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """``module_blacklist=`` names it exactly, as the kernel spells it."""
    if case.module in case.target.policy.blacklist:
        yield permission.kernel_blacklist(case.module)
