"""Do the kernel's own structures agree? (``kernel/module/version.c: check_modstruct_version``)"""

from __future__ import annotations

from collections.abc import Iterator
from errno import ENOEXEC

from lkm.doctor.case import Case
from lkm.doctor.causes import symbols, version
from lkm.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """The checksum of ``module_layout`` stands for struct module and what it contains."""
    offer = case.target.image.exports.get("module_layout")
    if offer is None or offer.crc is None:
        return
    if not case.has_versions:
        can_force = case.target.image.has("MODULE_FORCE_LOAD")
        cause = version.forced if can_force else _refused
        yield cause(case.module, "module_layout")
        return
    wanted = case.versions.get("module_layout")
    if wanted is None:
        fatal = "missing-checksum" in case.target.image.checks
        yield symbols.no_crc(case.module, "module_layout", errno=ENOEXEC, fatal=fatal)
    elif wanted != offer.crc:
        release, path = case.target.release, case.path
        yield version.module_layout(case.module, wanted, offer.crc, release=release, path=path)


def _refused(module: str, _: str) -> Finding:
    """A kernel without CONFIG_MODULE_FORCE_LOAD takes no module without versions."""
    return version.module_layout(module)
