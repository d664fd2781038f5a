"""Do its types continue the kernel's? (``kernel/bpf/btf.c: btf_module_notify``)"""

from __future__ import annotations

from collections.abc import Iterator

from lkm.doctor.case import Case
from lkm.doctor.causes import version
from lkm.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """The type data of a kernel that reads a module's; one that does not leaves it alone."""
    kernel = case.target.image
    if kernel.types is None or not kernel.has("DEBUG_INFO_BTF_MODULES"):
        return
    if "btf-base" in kernel.checks and case.image.elf.section(".BTF.base") is not None:
        return  # it has its own base, which the kernel looks up in its own types by name
    allowed = kernel.has("MODULE_ALLOW_BTF_MISMATCH")
    if allowed and case.verdict_only:
        return
    data = case.image.elf.named_data(".BTF")
    misfit = kernel.types.misfit(data) if data else None
    if misfit is not None:
        yield version.btf(
            case.module,
            misfit.errno,
            fatal=not allowed,
            what=misfit.what,
            release=case.target.release,
            path=case.path,
        )
