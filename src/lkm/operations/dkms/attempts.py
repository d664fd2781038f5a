"""The logs of builds, kept for each attempt, so that the next one does not take them away."""

from __future__ import annotations

import os
import shutil
import time

from lkm import files

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_tree import Package, Target

_KEPT = 20
"""How many attempts of a package are kept."""


def keep(package: Package, target: Target, log: str, status: int) -> None:
    """Keep a copy of a build's log; ``status`` is dkms's exit status. Never fails."""
    try:
        folder = files.cache_folder("dkms", package.module)
        stamp = time.strftime("%Y%m%dT%H%M%S")
        name = f"{stamp}-{package.version}-{target.kernel}-{target.arch}-{status}.log"
        shutil.copyfile(log, f"{folder}/{name}")
        for old in sorted(os.listdir(folder))[:-_KEPT]:
            os.unlink(f"{folder}/{old}")
    except OSError:
        return


def kept(module: str) -> list[str]:
    """Return the kept logs of a package, the oldest first."""
    folder = files.cache_folder("dkms", module)
    return [f"{folder}/{name}" for name in sorted(os.listdir(folder))]
