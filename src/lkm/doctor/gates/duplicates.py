"""Does anyone export the same? (``kernel/module/main.c: verify_exported_symbols``)"""

from __future__ import annotations

from collections.abc import Iterator

from lkm.doctor.case import Case
from lkm.doctor.causes import symbols
from lkm.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """The first name of its export tables that the kernel or a loaded module has already."""
    target = case.target
    for export in case.image.exports:
        offer = target.image.exports.get(export.name) or target.offers.get(export.name)
        if offer is not None and offer.owner != case.module:
            yield symbols.duplicate(case.module, export.name, offer.owner or "kernel")
            return
