"""depmod after a package came or went: ours, which reads only what has changed.

Source: dkms's ``do_depmod``.
"""

from __future__ import annotations

import os

from lkm.operations.depmod import Order, index
from lkm.operations.dkms import steps

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_tree import KernelTarget
    from lkm.operations.dkms.session import DkmsSession

_LEFT = ("alias", "dep", "devname", "softdep", "symbols", "weakdep")


def run(session: DkmsSession, target: KernelTarget) -> int:
    """Index a kernel's modules, announced as dkms does; return 0, or 1 where that failed."""
    if session.delayed_depmod is not None:
        session.delayed_depmod.add(target)
        return 0
    name = f"do_depmod {target.kernel}"
    return steps.call(session, lambda: _index(session, target), name, "Running depmod")


def _index(session: DkmsSession, target: KernelTarget) -> int:
    settings = session.settings
    folder = f"{settings.install_tree}/{target.kernel}"
    if settings.no_depmod:
        return 0
    say = session.reporter.say if settings.verbose else _unsaid
    if not os.path.isfile(f"{folder}/modules.dep"):
        say(f"Skipping depmod because '{folder}/modules.dep' is missing.")
        return 0
    problems: list[str] = []

    def report(level: str, text: str) -> None:
        problems.append(f"depmod: {level}: {text}")

    try:
        outcome = index(
            Order(directory=folder, release=target.kernel, output=folder),
            report,
            lambda done, total: None,
        )
    except OSError as error:
        session.reporter.complain(f"depmod: {error.filename or folder}: {error.strerror}")
        return 1
    if settings.verbose:
        for problem in problems:
            session.reporter.complain(problem)
    if outcome.cycles:
        return 1
    if os.path.getsize(f"{folder}/modules.dep") == 0:
        _remove_leftovers(folder, say)
    return 0


def _remove_leftovers(folder: str, say) -> None:  # type: ignore[no-untyped-def]
    """Remove the index of a kernel that is no longer installed, once its last module is gone."""
    for name in sorted(os.listdir(folder)):
        start, _, rest = name.partition(".")
        if start == "modules" and (rest in _LEFT or name.endswith(".bin")):
            os.unlink(f"{folder}/{name}")
            say(f"removed '{folder}/{name}'")
    try:
        os.rmdir(folder)
    except OSError:
        return
    say(f"removed directory {folder}")


def _unsaid(text: str) -> None:
    """Take what dkms sends to /dev/null."""
