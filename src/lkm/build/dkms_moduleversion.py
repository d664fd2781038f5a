"""Which of two module files is the newer, by what modinfo says of them.

Source: dkms's ``get_module_verinfo`` and ``compare_module_version``.
"""

from __future__ import annotations

import os

from lkm.build.dkms_version import padded
from lkm.errors import LkmError
from lkm.record import Record


class ModuleVersion(Record):
    """The first word of MODULE_VERSION, and the srcversion (or what follows that word)."""

    version: str = ""
    source: str = ""

    def __bool__(self) -> bool:
        return bool((self.version + self.source).strip())


def module_version(path: str) -> ModuleVersion:
    """Return a module file's version; of a file that is no module, none."""
    from lkm.module.image import ModuleImage  # most of what status shows needs no module read

    try:
        fields = ModuleImage.open(path).modinfo
    except (LkmError, OSError):
        return ModuleVersion()
    words = (fields.get("version") or "").split()
    source = (fields.get("srcversion") or "").split()
    checksum = words[1] if len(words) > 1 else ""
    return ModuleVersion(words[0] if words else "", source[0] if source else checksum)


def compare(first: ModuleVersion, second: ModuleVersion) -> str:
    """Return ``==`` (all the same), ``=`` (the version is), ``>`` or ``<``."""
    if first.version == second.version:
        return "==" if first.source == second.source else "="
    return ">" if padded(first.version) > padded(second.version) else "<"


def same_bytes(first: str, second: str) -> bool:
    """Say whether two files hold the same; a file that is not there is the same as none."""
    try:
        if os.path.samefile(first, second):
            return True
        if os.path.getsize(first) != os.path.getsize(second):
            return False
        with open(first, "rb") as one, open(second, "rb") as other:
            while True:
                block = one.read(1 << 20)
                if block != other.read(1 << 20):
                    return False
                if not block:
                    return True
    except OSError:
        return False
