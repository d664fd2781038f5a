"""Take a package out of a kernel's modules, and put back what was there before.

Source: dkms's ``do_uninstall``, ``do_unbuild``, ``remove_module``.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from lkm.build import dkms_kernel
from lkm.build.dkms_moduleversion import module_version, same_bytes
from lkm.operations.dkms import build, depmod, steps, weak
from lkm.operations.dkms.reporting import DkmsFailure, warn

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_conf import BuiltModule
    from lkm.build.dkms_tree import KernelTarget, Package
    from lkm.operations.dkms.session import DkmsSession

_OWNED_BY_RPM = ("fedora", "rhel", "ovm", "sles", "suse", "opensuse")
_NO_KERNEL = ("build", "tarball", "driver_disk", "rpm", "deb", "source")


def uninstall_if_installed(session: DkmsSession, package: Package, target: KernelTarget) -> None:
    """Do what the verb ``uninstall`` does for one kernel."""
    if session.tree.is_installed(package, target):
        uninstall(session, package, target)
        return
    if not _is_restricted(session, package, target):
        session.reporter.say(f"Module {package} is not installed for kernel {target}. Skipping...")


def _is_restricted(session: DkmsSession, package: Package, target: KernelTarget) -> bool:
    """Whether it may well be that a package was not meant for this kernel: then say nothing."""
    path = f"{session.tree.source(package)}/dkms.conf"
    if not os.path.isfile(path):
        return False
    with session.subshell():
        session.read_ahead([(package, target, path)])
        conf = session.conf_read(package, target, path)
    return conf is not None and conf.is_restricted and bool(conf.modules)


def uninstall(session: DkmsSession, package: Package, target: KernelTarget) -> None:
    """Uninstall a package from one kernel; raises ``DkmsFailure`` for a bad dkms.conf."""
    tree, say = session.tree, session.reporter.say
    say(f"Module {package} for kernel {target}:")
    conf = session.conf(package, target)
    active = tree.is_active(package, target)
    if active:
        say("Before uninstall, this module version was ACTIVE on this kernel.")
        weak.remove_weak_modules(session, package, target, conf)
        for module in conf.modules:
            _delete(session, package, target, module)
            _restore(session, package, target, module)
        os.unlink(tree.active_link(package.module, target))
    else:
        say("This module version was INACTIVE for this kernel.")
    steps.run_script(session, package, "post_remove", conf.scripts["post_remove"])
    depmod.run(session, target)
    originals = tree.originals(package.module, target)
    if active and os.path.isdir(originals):
        say(f"Removing original module(s) from DKMS tree for kernel {target}")
        shutil.rmtree(originals, ignore_errors=True)
    for folder in (os.path.dirname(originals), os.path.dirname(os.path.dirname(originals))):
        if os.path.isdir(folder) and not any(entry.is_dir() for entry in os.scandir(folder)):
            shutil.rmtree(folder, ignore_errors=True)


def actual_location(
    session: DkmsSession, package: Package, target: KernelTarget, module: BuiltModule
) -> str:
    """Return where below the kernel's folder a module of ours is installed; empty if nowhere.

    Only a file of the same version as the one that was built counts as ours.
    """
    ending = session.ending(target)
    active = session.tree.active_link(package.module, target)
    mine = dkms_kernel.module_in(f"{active}/module", module.name, ending)
    folder = f"{session.settings.install_tree}/{target.kernel}"
    for location in dict.fromkeys((module.location, module.written_location)):
        path = dkms_kernel.module_in(f"{folder}{location}", module.name, ending)
        if not path:
            continue
        if same_bytes(path, mine):
            return location
        if module_version(path).version == module_version(mine).version:
            return location
    return ""


def _delete(
    session: DkmsSession, package: Package, target: KernelTarget, module: BuiltModule
) -> None:
    say = session.reporter.say
    folder = f"{session.settings.install_tree}/{target.kernel}"
    name = f"{module.name}.ko{session.ending(target)}"
    location = actual_location(session, package, target, module)
    if not location:
        say(f"Module {name} was not found within {folder}/")
        return
    say(f"Deleting {folder}{location}/{name}")
    place = f"{folder}{location}"
    for file in os.listdir(place):
        if file.startswith(f"{module.name}.ko"):
            os.unlink(f"{place}/{file}")
    _remove_empty(session, folder, location.strip("/"))


def _remove_empty(session: DkmsSession, folder: str, location: str) -> None:
    """Remove a folder that has become empty, and those above it."""
    if session.settings.distribution.startswith(_OWNED_BY_RPM):
        try:
            done = subprocess.run(
                ["rpm", "-qf", location], cwd=folder, capture_output=True, check=False
            )
        except OSError:
            return
        if done.returncode == 0:
            return
    while location:
        try:
            os.rmdir(f"{folder}/{location}")
        except OSError:
            return
        location = os.path.dirname(location)


def _restore(
    session: DkmsSession, package: Package, target: KernelTarget, module: BuiltModule
) -> None:
    """Put the module back whose place ours had taken."""
    originals = session.tree.originals(package.module, target)
    if not os.path.isdir(originals):
        return
    tree = f"{session.settings.install_tree}/{target.kernel}/"
    for folder, _, names in os.walk(originals):
        for name in names:
            if not (name.startswith(f"{module.name}.") and name.endswith(".origin")):
                continue
            kept = f"{folder}/{name}".removesuffix(".origin")
            if not os.path.isfile(kept):
                continue
            with open(f"{folder}/{name}", encoding="utf-8", errors="surrogateescape") as file:
                place = file.readline().rstrip("\n")
            if not place.startswith(tree):
                warn(session.reporter, f"Bad original location '{place}' in {folder}/{name}")
                continue
            session.reporter.say(f"Restoring archived original module {place}")
            _move(kept, place)
            os.unlink(f"{folder}/{name}")
    _remove_empty_below(os.path.dirname(originals))
    old = dkms_kernel.module_in(originals, module.name, session.ending(target))
    if old and not os.path.exists(f"{old}.origin"):
        session.reporter.say("Restoring archived original module")
        _move(old, f"{tree}{module.written_location}/{os.path.basename(old)}")


def _move(origin: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    temporary = f"{os.path.dirname(target)}/.{os.path.basename(target)}.new"
    shutil.copy2(origin, temporary)
    os.replace(temporary, target)
    os.unlink(origin)


def _remove_empty_below(folder: str) -> None:
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            continue


def unbuild(session: DkmsSession, package: Package, target: KernelTarget) -> None:
    """Do what the verb ``unbuild`` does for one kernel."""
    uninstall_if_installed(session, package, target)
    unbuild_if_built(session, package, target)


def unbuild_if_built(session: DkmsSession, package: Package, target: KernelTarget) -> None:
    """Remove what was built for a kernel, or say that there is nothing."""
    if session.tree.is_built(package, target):
        build.discard(session, package, target)
        return
    session.reporter.say(f"Module {package} is not built for kernel {target}. Skipping...")


def remove(session: DkmsSession, package: Package) -> None:
    """Do what the verb ``remove`` does."""
    tree, say = session.tree, session.reporter.say
    folder = tree.package_folder(package)
    _remove_temporary(folder)
    if session.settings.rpm_safe_upgrade:
        from lkm.operations.dkms.rpm_upgrade import is_upgrade  # only rpm's scriptlets ask for it

        if is_upgrade(session.settings.tmp, package):
            raise DkmsFailure(0, "Remove cancelled because --rpm_safe_upgrade scenario detected.")
    for target in session.settings.targets:
        unbuild(session, package, target)
        say("")
    if not any(_may_be_kernel(entry) for entry in os.scandir(folder)):
        say(f"Deleting module {package} completely from the DKMS tree.")
        gone = f"{os.path.dirname(folder)}/.tmp_{package.version}"
        shutil.rmtree(gone, ignore_errors=True)
        os.rename(folder, gone)  # at once: a half of it would look like a broken package
        shutil.rmtree(gone)
    above = os.path.dirname(folder)
    if not [name for name in os.listdir(above) if not name.startswith(".")]:
        shutil.rmtree(above, ignore_errors=True)


def _remove_temporary(folder: str) -> None:
    for kernel in os.scandir(folder):
        if not kernel.is_dir(follow_symlinks=False):
            continue
        if not kernel.name.startswith("."):
            for entry in os.scandir(kernel.path):
                if entry.name.startswith(".tmp_"):
                    shutil.rmtree(entry.path, ignore_errors=True)
        try:
            os.rmdir(kernel.path)
        except OSError:
            continue


def _may_be_kernel(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
        return False
    return not entry.name.endswith(_NO_KERNEL)
