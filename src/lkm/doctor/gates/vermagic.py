"""Was it built for this kernel's configuration? (``kernel/module/main.c: check_modinfo``)"""

from __future__ import annotations

from collections.abc import Iterator
from errno import ENOEXEC

from lkm.doctor.case import Case
from lkm.doctor.causes import version
from lkm.doctor.finding import Finding, Severity


def check(case: Case) -> Iterator[Finding]:
    """The version magic, then retpolines and livepatch."""
    expected = case.target.image.vermagic
    found = None if case.force_vermagic else case.image.modinfo.get("vermagic")
    if found is None:
        yield version.no_vermagic(case.module, case.target.image.has("MODULE_FORCE_LOAD"))
    elif expected and not _same(found, expected, has_versions=case.has_versions):
        yield version.vermagic(
            case.module, found, expected, path=case.path, compares_release=not case.has_versions
        )
    yield from _extras(case)


def _same(found: str, expected: str, *, has_versions: bool) -> bool:
    """``kernel/module/version.c: same_magic``: with versions, all but the first word."""
    if has_versions:
        return found.partition(" ")[1:] == expected.partition(" ")[1:]
    return found == expected


def _extras(case: Case) -> Iterator[Finding]:
    image = case.target.image
    info = case.image.modinfo
    retpolines = image.has("RETPOLINE") or image.has("MITIGATION_RETPOLINE")
    if retpolines and info.get("retpoline") is None:
        yield version.no_retpoline(case.module)
    if info.get("livepatch") is not None and image.config and not image.has("LIVEPATCH"):
        yield Finding(
            "livepatch",
            Severity.FATAL,
            "the module is a live patch, and this kernel was built without live patching",
            ENOEXEC,
            f"{case.module}: module is marked as livepatch module, but livepatch support is "
            "disabled",
            module=case.module,
        )
