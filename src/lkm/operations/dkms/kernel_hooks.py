"""What a kernel package's scripts ask for: before and after it comes, and before it goes.

Source: dkms's ``kernel_preinst``, ``kernel_prerm``.
"""

from __future__ import annotations

import os

from lkm.operations.dkms import depmod, uninstall
from lkm.operations.dkms.reporting import DkmsFailure, tell

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_tree import KernelTarget
    from lkm.operations.dkms.session import DkmsSession


def kernel_preinst(session: DkmsSession, target: KernelTarget) -> None:
    """Unbuild what a reinstalled kernel will get anew: the packages with AUTOINSTALL."""
    _unbuild_all(session, target, "kernel_preinst")


def kernel_prerm(session: DkmsSession, target: KernelTarget) -> None:
    """Unbuild all packages of a kernel that goes."""
    _unbuild_all(session, target, "kernel_prerm")


def _unbuild_all(session: DkmsSession, target: KernelTarget, verb: str) -> None:
    reporter = session.reporter
    goes = verb == "kernel_prerm"
    failed = []
    session.delayed_depmod = set()
    for package in list(session.tree.packages()):
        if not session.tree.is_built(package, target):
            continue
        path = f"{session.tree.source(package)}/dkms.conf"
        if not goes and not session.conf(package, target, path).autoinstall:
            continue
        reporter.complain(f"dkms: removing module {package} for kernel {target}")
        try:
            with session.subshell():
                uninstall.unbuild(session, package, target)
        except DkmsFailure as failure:
            tell(reporter, failure)
            failed.append(f"{package}({failure.status})")
        if goes:
            reporter.say("")
    pending, session.delayed_depmod = session.delayed_depmod, None
    for kernel in pending:
        depmod.run(session, kernel)
    _remove_empty_folders(f"{session.settings.install_tree}/{target.kernel}")
    if failed:
        names = "".join(f" {name}" for name in failed)
        raise DkmsFailure(14, f"dkms {verb} for kernel {target} failed for module(s){names}.")


def _remove_empty_folders(folder: str) -> None:
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            continue
