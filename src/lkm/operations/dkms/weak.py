"""Weak modules: one build for all kernels of a stable interface, as Red Hat and SUSE have it."""

from __future__ import annotations

import os
import subprocess

from lkm.build import dkms_kernel

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_conf import DkmsConf
    from lkm.build.dkms_tree import KernelTarget, Package
    from lkm.operations.dkms.session import DkmsSession

_REDHAT = ("/usr/sbin/weak-modules", "--no-initramfs")
_SUSE = ("/usr/lib/module-init-tools/weak-modules2",)


def command(distribution: str, verb: str, target: KernelTarget) -> list[str]:
    """Return the distribution's program for ``add`` or ``remove``; empty where it has none."""
    if distribution.startswith("rhel"):
        return [*_REDHAT, f"--{verb}-modules"]
    if distribution.startswith(("sles", "suse", "opensuse")):
        return [*_SUSE, f"--{verb}-kernel-modules", target.kernel]
    return []


def add_weak_modules(
    session: DkmsSession, package: Package, target: KernelTarget, conf: DkmsConf
) -> None:
    """Link what was just installed for the kernels it also fits."""
    _call(session, package, target, conf, verb="add", said="Adding linked weak modules...")


def remove_weak_modules(
    session: DkmsSession, package: Package, target: KernelTarget, conf: DkmsConf
) -> None:
    """Remove the links to what is about to be uninstalled."""
    _call(session, package, target, conf, verb="remove", said="Removing linked weak modules...")


def _call(
    session: DkmsSession,
    package: Package,
    target: KernelTarget,
    conf: DkmsConf,
    *,
    verb: str,
    said: str,
) -> None:
    program = command(session.settings.distribution, verb, target)
    if conf.no_weak_modules or not program:
        return
    session.reporter.say(said)
    folder = f"{session.settings.install_tree}/{target.kernel}"
    found = [
        dkms_kernel.module_in(f"{folder}{place}", module.name)
        for module in conf.fitting
        for place in (module.location, module.written_location)
    ]
    names = "".join(f"{path}\n" for path in dict.fromkeys(found) if path)
    if os.access(program[0], os.X_OK):
        subprocess.run(program, input=names.encode(), check=False)


__all__ = ["add_weak_modules", "command", "remove_weak_modules"]
