"""Which taint flags will it set? (``kernel/module/main.c: module_augment_kernel_taints``)"""

from __future__ import annotations

from collections.abc import Iterator
from errno import ENOEXEC

from lkm.doctor.case import Case
from lkm.doctor.finding import Evidence, Finding, Severity


def check(case: Case) -> Iterator[Finding]:
    """Licence, out of tree, staging; and whether exports carry the checksums they must."""
    info = case.image.modinfo
    if case.proprietary:
        licence = case.image.licence or "unspecified"
        yield _taint(
            case, "proprietary", "P", f"{case.module}: module license '{licence}' taints kernel."
        )
    if info.get("intree") is None:
        message = f"{case.module}: loading out-of-tree module taints kernel."
        yield _taint(case, "out-of-tree", "O", message)
    if info.get("staging") is not None:
        message = (
            f"{case.module}: module is from the staging directory, the quality is unknown, "
            "you have been warned."
        )
        yield _taint(case, "staging", "C", message)
    yield from _versions(case)


_MEANING = {
    "P": "its licence is not GPL-compatible",
    "O": "it was built outside the kernel's tree",
    "C": "it is a staging driver",
}


def _taint(case: Case, name: str, letter: str, message: str) -> Finding:
    return Finding(
        name,
        Severity.NOTE,
        f"the module taints the kernel ({letter}): {_MEANING[letter]}",
        0,
        message,
        module=case.module,
        evidence=(Evidence("taint", letter),),
    )


def _versions(case: Case) -> Iterator[Finding]:
    """``check_export_symbol_versions``: a table of exports without its table of checksums."""
    if not case.target.image.has("MODVERSIONS"):
        return
    elf = case.image.elf
    for table, checksums in (("__ksymtab", "__kcrctab"), ("__ksymtab_gpl", "__kcrctab_gpl")):
        if elf.section(table) is not None and elf.section(checksums) is None:
            can_force = case.target.image.has("MODULE_FORCE_LOAD")
            yield Finding(
                "unversioned-exports",
                Severity.WARNING if can_force else Severity.FATAL,
                "the module exports symbols without checksums, which counts as a forced load",
                0 if can_force else ENOEXEC,
                f"{case.module}: no versions for exported symbols: kernel tainted.",
                module=case.module,
            )
            return
