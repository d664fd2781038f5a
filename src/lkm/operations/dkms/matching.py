"""Do for one kernel what is installed on another.

Source: dkms's ``run_match``; unlike there, the packages are found in today's status lines.
"""

from __future__ import annotations

import os

from lkm.operations.dkms import build
from lkm.operations.dkms.dependents import install_unless_installed
from lkm.operations.dkms.reporting import DkmsFailure, tell

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_tree import KernelTarget
    from lkm.operations.dkms.session import DkmsSession


def match(session: DkmsSession, target: KernelTarget) -> int:
    """Install for ``target`` what the template kernel has; return the last failure's status."""
    settings, say = session.settings, session.reporter.say
    template = settings.template_kernel
    if not template:
        raise DkmsFailure(
            1,
            "Invalid number of parameters passed.",
            "Usage: match --templatekernel=<kernel-version> -k <kernel-version>",
            "   or: match --templatekernel=<kernel-version> -k <kernel-version> <module>",
        )
    if template == target.kernel:
        raise DkmsFailure(2, "The templatekernel and the specified kernel version are the same.")
    if settings.module and not os.path.isdir(f"{settings.dkms_tree}/{settings.module}"):
        raise DkmsFailure(3, f"The module: {settings.module} is not located in the DKMS tree.")
    packages = [
        entry.package
        for entry in session.tree.status(settings.module, "", template, target.arch)
        if entry.state == "installed"
    ]
    say(f"\nMatching modules in kernel: {target}")
    say(f"to the configuration of kernel: {template} ({target.arch})")
    if not packages:
        say("\nThere is nothing to be done for this match.")
        return 0
    build.require_headers(session, target)
    status = 0
    for package in packages:
        say(f"Module:  {package.module}\nVersion: {package.version}")
        try:
            with session.subshell():
                build.build_unless_built(session, package, target)
            with session.subshell():
                install_unless_installed(session, package, target)
        except DkmsFailure as failure:
            tell(session.reporter, failure)
            status = failure.status
    return status
