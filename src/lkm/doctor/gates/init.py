"""Will its init function succeed? Nobody can know beforehand; the finding says so."""

from __future__ import annotations

from collections.abc import Iterator

from lkm.doctor.case import Case
from lkm.doctor.finding import Finding, Severity

# modinfo aliases whose drivers load without the device being there
_HARDWARE_ONLY = ("cpu:", "x86cpu:")


def check(case: Case) -> Iterator[Finding]:
    """A module for certain processors returns ENODEV on any other."""
    aliases = [alias for alias in case.image.aliases if alias.startswith(_HARDWARE_ONLY)]
    if aliases:
        yield Finding(
            "init-decides",
            Severity.NOTE,
            "the module is for certain processors; on another its init returns ENODEV",
            module=case.module,
        )
