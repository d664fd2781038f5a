"""``--rpm_safe_upgrade``: an rpm upgrade adds a version before it removes the same one.

Source: the option's section of dkms(8), dkms's ``add_module`` and ``remove_module``.
"""

from __future__ import annotations

import glob
import os
import tempfile

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_tree import Package


def note_add(tmp: str, package: Package) -> None:
    """Leave a note, for a removal by the same rpm process, that a package was added."""
    rpm = _grandparent()
    descriptor, _ = tempfile.mkstemp(prefix=f"dkms_rpm_safe_upgrade_lock.{rpm}.", dir=tmp)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{package.module}-{package.version}\n{_start(rpm)}\n")


def is_upgrade(tmp: str, package: Package) -> bool:
    """Say whether this rpm process has just added the package; the note is taken away."""
    rpm = _grandparent()
    for path in glob.glob(f"{glob.escape(tmp)}/dkms_rpm_safe_upgrade_lock.{rpm}.*"):
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        start = _start(rpm)
        if start and lines[:1] == [f"{package.module}-{package.version}"] and lines[-1] == start:
            os.unlink(path)
            return True
    return False


def _grandparent() -> int:
    """Return the process that started the script that started us."""
    return _stat_field(os.getppid(), 3)


def _start(process: int) -> str:
    started = _stat_field(process, 21)
    return str(started) if started else ""


def _stat_field(process: int, field: int) -> int:
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            after_name = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return int(after_name[field - 2])
