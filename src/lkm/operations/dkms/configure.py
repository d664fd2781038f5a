"""What a package's installation script asks for: build and install it for the kernels in use.

Source: dkms's ``common.postinst``, which Debian's ``*-dkms`` packages call.
"""

from __future__ import annotations

import os

from lkm.build.dkms_tree import KernelTarget
from lkm.build.dkms_version import natural_key
from lkm.operations.dkms import add, uninstall
from lkm.operations.dkms.dependents import install_unless_installed
from lkm.operations.dkms.reporting import DkmsFailure, tell
from lkm.operations.dkms.source import first_target

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_tree import Package
    from lkm.operations.dkms.session import DkmsSession

_EXCLUDED = 77


def configure(session: DkmsSession) -> int:
    """Add the package anew and install it for each kernel; return the first failure's status."""
    package = add.package_named(session, "configure")
    say = session.reporter.say
    if session.tree.is_added(package):
        say(f"Removing old {package} DKMS files...")
        targets = tuple(session.tree.targets(package))
        session.settings = session.settings.replaced(targets=targets)
        uninstall.remove(session, package)
    say(f"Loading new {package} DKMS files...")
    add.add_package(session, package)
    conf = session.conf(package, first_target(session))
    if not conf.autoinstall:
        say(f"Not building the {package.module} module which does not have AUTOINSTALL enabled.")
        return 0
    kernels = chosen_kernels(session)
    if not kernels:
        say("There is no kernel here to build for.")
    status = 0
    for target in kernels:
        status = _install(session, package, target) or status
    return status


def chosen_kernels(session: DkmsSession) -> list[KernelTarget]:
    """Return the running and the newest kernel; all where the running one has no modules here."""
    folder = session.settings.install_tree
    names = os.listdir(folder) if os.path.isdir(folder) else []
    releases = sorted(
        (name for name in names if os.path.isdir(f"{folder}/{name}")), key=natural_key
    )
    running = os.uname().release
    everything = session.settings.framework.get("autoinstall_all_kernels")
    if running in releases and not everything:
        releases = list(dict.fromkeys([running, releases[-1]]))
    given = session.settings.targets
    machine = given[0].arch if given and given[0].arch else os.uname().machine
    return [KernelTarget(release, machine) for release in releases]


def _install(session: DkmsSession, package: Package, target: KernelTarget) -> int:
    say = session.reporter.say
    if not session.kernel(target).has_headers:
        say(f"Module build for kernel {target.kernel} was skipped since the")
        say("kernel headers for this kernel do not seem to be installed.")
        return 0
    say(f"Building for {target}")
    try:
        with session.subshell():
            install_unless_installed(session, package, target)
    except DkmsFailure as failure:
        tell(session.reporter, failure)
        return 0 if failure.status == _EXCLUDED else failure.status
    return 0
