"""The logs of builds, kept for each attempt, so that the next one does not take them away."""

from __future__ import annotations

import os
import re
import shutil
import time

from lkm import files

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_tree import KernelTarget, Package

_DECISIVE = (
    re.compile(r":\d+:(\d+:)? (fatal )?error: "),
    re.compile(r"(?i)^error: |modpost: .*undefined!|No rule to make target"),
    re.compile(r"command not found|No such file or directory|not found$"),
    re.compile(r"^make(\[\d+\])?: \*\*\* "),
)
"""What a compiler, modpost, a shell and make say of what went wrong, the most telling first."""

_KEPT = 20
"""How many attempts of a package are kept."""


def keep(package: Package, target: KernelTarget, log: str, status: int) -> None:
    """Keep a copy of a build's log; ``status`` is dkms's exit status. Never fails."""
    try:
        folder = files.cache_folder("dkms-logs", package.module)
        stamp = time.strftime("%Y%m%dT%H%M%S")
        name = f"{stamp}-{package.version}-{target.kernel}-{target.arch}-{status}.log"
        shutil.copyfile(log, f"{folder}/{name}")
        for old in sorted(os.listdir(folder))[:-_KEPT]:
            os.unlink(f"{folder}/{old}")
    except OSError:
        return


def kept(module: str) -> list[str]:
    """Return the kept logs of a package, the oldest first."""
    folder = files.cache_folder("dkms-logs", module)
    return [f"{folder}/{name}" for name in sorted(os.listdir(folder))]


def last_failure(package: Package, target: KernelTarget) -> str:
    """Return the log of a package's last build for a kernel if that failed, else nothing."""
    middle = f"-{package.version}-{target.kernel}-{target.arch}-"
    mine = [path for path in kept(package.module) if middle in path]
    return mine[-1] if mine and not mine[-1].endswith("-0.log") else ""


def decisive_line(log: str) -> str:
    """Return the line of a build's log that says why it failed: the first error of its tools."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file]
    except OSError:
        return ""
    for wanted in _DECISIVE:
        for line in lines:
            if wanted.search(line) and not line.startswith("#"):
                return line
    return ""
