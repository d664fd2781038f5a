"""May anyone load modules here? (``kernel/module/main.c: may_init_module``)"""

from __future__ import annotations

from collections.abc import Iterator

from lkm.doctor.case import Case
from lkm.doctor.causes import permission
from lkm.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """CAP_SYS_MODULE, then kernel.modules_disabled; both EPERM without a word in the log."""
    policy = case.target.policy
    if policy.capable is False:
        yield permission.no_capability(container=policy.container)
    elif policy.modules_disabled:
        yield permission.modules_disabled()
