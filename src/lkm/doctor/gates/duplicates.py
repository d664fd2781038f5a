"""Does anyone export the same? (``kernel/module/main.c: verify_exported_symbols``)"""

from __future__ import annotations

from collections.abc import Iterator

from lkm.doctor.case import Case
from lkm.doctor.causes import symbols
from lkm.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """The first name of its export tables that the kernel or a loaded module has already."""
    if not any(_taken_by(case, name) for name in _strings(case)):
        return
    for export in case.image.exports:
        owner = _taken_by(case, export.name)
        if owner:
            yield symbols.duplicate(case.module, export.name, owner)
            return


def _strings(case: Case) -> list[str]:
    """Return the strings the export tables name: the symbols and their namespaces.

    Reading these is cheap; which of them are symbols only the relocations tell.
    """
    data = case.image.elf.named_data("__ksymtab_strings")
    return data.decode("utf-8", "surrogateescape").split("\0") if data else []


def _taken_by(case: Case, name: str) -> str:
    offer = case.target.image.exports.get(name) or case.target.offers.get(name)
    if offer is None or offer.owner == case.module:
        return ""
    return offer.owner or "kernel"
