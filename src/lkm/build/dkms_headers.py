"""Whether a built module still belongs to the headers that are here for its kernel's release.

A distribution may rebuild a kernel under the same release; a symbol whose CRC is another then, and
the kernel refuses what was built before ("disagrees about version of symbol").
"""

from __future__ import annotations

import os

from lkm.errors import LkmError

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping

_TABLE = "Module.symvers"


def are_newer(headers: str, built: str) -> bool:
    """Say whether the headers were installed after ``built``, so that a closer look pays."""
    try:
        return os.stat(f"{headers}/{_TABLE}").st_ctime > os.stat(built).st_mtime
    except OSError:
        return False


def changed_symbols(versions: Mapping[str, int], headers: str) -> list[str]:
    """Return the symbols, of those a module was built against, that have other CRCs now."""
    changed = []
    try:
        with open(f"{headers}/{_TABLE}", encoding="utf-8") as file:
            for line in file:
                crc, _, rest = line.partition("\t")
                name = rest.partition("\t")[0]
                if name in versions and versions[name] != int(crc, 16):
                    changed.append(name)
    except (OSError, ValueError):
        return []
    return changed


def is_outdated(folder: str, headers: str) -> bool:
    """Say whether a module in ``folder`` was built against other headers of its release."""
    if not are_newer(headers, folder):
        return False
    from lkm.module.image import ModuleImage  # only where the headers are newer

    for name in os.listdir(folder):
        if ".ko" not in name:
            continue
        try:
            versions = dict(ModuleImage.open(f"{folder}/{name}").versions)
        except (LkmError, OSError):
            continue
        if versions and changed_symbols(versions, headers):
            return True
    return False
