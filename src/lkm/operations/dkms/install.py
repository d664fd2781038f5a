"""Install what was built into a kernel's modules.

Source: dkms's ``do_install`` and ``check_version_sanity``.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from lkm.build import dkms_kernel
from lkm.build.dkms_moduleversion import compare, module_version, same_bytes
from lkm.build.dkms_version import padded
from lkm.operations.dkms import build, depmod, steps, uninstall, weak
from lkm.operations.dkms.reporting import DkmsFailure, error
from lkm.operations.dkms.transaction import Placed, Transaction

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_conf import BuiltModule, DkmsConf
    from lkm.build.dkms_tree import KernelTarget, Package
    from lkm.operations.dkms.session import DkmsSession

_FORCED = "/usr/share/dkms/modules_to_force_install"
_VERSION_OVERRIDE = "_version-override"


def install_alone(session: DkmsSession, package: Package | None, target: KernelTarget) -> Package:
    """Install a package, added and built before if need be; return it."""
    if not target.kernel or not target.arch:
        raise DkmsFailure(16, "do_install: Empty $kernelver or $arch")
    if package is None or not session.tree.is_built(package, target):
        package = build.build(session, package, target)
    forced = session.force
    _apply_forced_list(session, package.module)
    _Installation(session, package, target).run()
    session.force = forced
    return package


def _apply_forced_list(session: DkmsSession, module: str) -> None:
    try:
        names = sorted(os.listdir(_FORCED))
    except OSError:
        return
    words: list[str] = []
    for name in names:
        try:
            with open(f"{_FORCED}/{name}", encoding="utf-8", errors="replace") as file:
                words += file.read().split()
        except OSError:
            continue
    for word in words:
        if word == module:
            session.force = True
            session.reporter.say(f"Forcing installation of {module}")
            return
        if word == module + _VERSION_OVERRIDE:
            session.force_version_override = True
            session.reporter.say(f"Forcing version override of {module}")
            return


class _Installation:
    """One installation of one package for one kernel."""

    def __init__(self, session: DkmsSession, package: Package, target: KernelTarget) -> None:
        self._session = session
        self._package = package
        self._target = target
        self._kernel = session.kernel(target)
        self._ending = session.ending(target)
        self._built = f"{session.tree.built_folder(package, target)}/module"
        self._link = session.tree.active_link(package.module, target)
        self._originals = session.tree.originals(package.module, target)

    def run(self) -> None:
        """Go through all steps; raises ``DkmsFailure``."""
        session, package, target = self._session, self._package, self._target
        conf = self._checked_conf()
        status = steps.run_script(session, package, "pre_install", conf.scripts["pre_install"])
        if status and not session.force:
            raise DkmsFailure(
                101,
                "pre_install failed, aborting install.",
                "You may override by specifying --force.",
            )
        with Transaction(session.tree, package, target) as transaction:
            installed = [
                module for module in conf.fitting if self._install(module, conf, transaction)
            ]
            if conf.modules and not installed:
                raise DkmsFailure(6, "Installation aborted.")
            self._activate()
        weak.add_weak_modules(session, package, target, conf)
        steps.run_script(session, package, "post_install", conf.scripts["post_install"])
        if depmod.run(session, target):
            uninstall.uninstall(session, package, target)
            raise DkmsFailure(
                6,
                "Problems with depmod detected. Automatically uninstalling this module.",
                "Install Failed (depmod problems). Module rolled back to built state.",
            )
        if session.settings.modprobe_on_install and target.kernel == os.uname().release:
            _modprobe_all()

    def _checked_conf(self) -> DkmsConf:
        session, package, target = self._session, self._package, self._target
        if not os.path.exists(self._kernel.folder):
            raise DkmsFailure(
                6,
                f"The directory {self._kernel.folder} doesn't exist.",
                "You cannot install a module onto a non-existent kernel.",
            )
        conf = session.conf(package, target, strict=True)
        for module in conf.fitting:
            if not dkms_kernel.module_in(self._built, module.name, self._ending):
                raise DkmsFailure(6, f"Missing module {module.name} in {self._built}")
        if session.tree.is_installed(package, target):
            raise DkmsFailure(
                5, f"This module/version combo is already installed for kernel {target}."
            )
        if session.settings.rpm_safe_upgrade:
            # Otherwise the first half of an upgrade could fail to install, the second remove.
            session.force = True
        return conf

    def _install(self, module: BuiltModule, conf: DkmsConf, transaction: Transaction) -> bool:
        if not self._may_replace(module, conf.obsolete_by):
            return False
        original = self._original(module)
        origin = dkms_kernel.module_in(self._built, module.name, self._ending)
        target = f"{self._kernel.folder}{module.location}/{os.path.basename(origin)}"
        kept = f"{self._originals}/{os.path.basename(original)}" if original else ""
        transaction.note(Placed(origin, target, original, kept))
        if original:
            self._keep_original(original, kept)
        self._session.reporter.say(f"Installing {target}")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        self._place(origin, target)
        if original and original != target:
            os.unlink(original)
        return True

    def _place(self, origin: str, target: str) -> None:
        """Put a module in its place at once."""
        temporary = f"{os.path.dirname(target)}/.{os.path.basename(target)}.new"
        try:
            if os.path.lexists(temporary):
                os.unlink(temporary)
            if self._session.settings.symlink_modules:
                os.symlink(origin, temporary)
            else:
                shutil.copyfile(origin, temporary)
                os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except OSError as failure:
            raise DkmsFailure(6, f"Copying '{origin}' failed", str(failure)) from None

    def _original(self, module: BuiltModule) -> str:
        """Return the kernel's file, or anybody's, whose place ours takes; empty if none is."""
        say = self._session.reporter.say
        name, ending = module.name, self._ending
        if os.path.islink(self._link):
            if dkms_kernel.module_in(self._originals, name, ending):
                say("An original module was already stored during a previous install")
            return ""
        folder = self._kernel.folder
        places = (f"{folder}/extra", f"{folder}/updates", f"{folder}{module.location}")
        found = [dkms_kernel.module_in(place, name, ending) for place in places]
        found += dkms_kernel.find_modules(self._kernel, name, ending)
        for path in found:
            if path and os.path.isfile(path):
                say(f"Found pre-existing {path}, archiving for uninstallation")
                return path
        return ""

    def _keep_original(self, path: str, kept: str) -> None:
        """Keep a copy: the file itself goes only once ours is in its place."""
        os.makedirs(self._originals, exist_ok=True)
        with open(f"{kept}.origin", "w", encoding="utf-8") as file:
            file.write(f"{path}\n")
        temporary = f"{self._originals}/.{os.path.basename(kept)}.new"
        shutil.copy2(path, temporary, follow_symlinks=False)
        os.replace(temporary, kept)

    def _activate(self) -> None:
        where = f"{self._package.version}/{self._target.kernel}/{self._target.arch}"
        temporary = f"{self._link}.new"
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(where, temporary)
        os.replace(temporary, self._link)

    def _may_replace(self, module: BuiltModule, obsolete_by: str) -> bool:
        """Say whether ours may take the place of the kernel's module of that name."""
        session, complain = self._session, self._session.reporter.complain
        if obsolete_by and not session.force and _is_obsolete(self._target.kernel, obsolete_by):
            complain(
                f"\nModule has been obsoleted due to being included in kernel {obsolete_by}.\n"
                f"We will avoid installing for future kernels above {obsolete_by}.\n"
                "You may override by specifying --force."
            )
            return False
        found = dkms_kernel.find_modules(self._kernel, module.name, self._ending)
        if not found or session.force_version_override or session.force:
            return True
        there = found[0]
        mine = dkms_kernel.module_in(self._built, module.name, self._ending)
        old, new = module_version(there), module_version(mine)
        order = compare(old, new)
        if order == ">":
            error(
                session.reporter,
                f"Module version {new.version} for {module.name}.ko{self._ending}",
                "is not newer than what is already found in kernel"
                f" {self._target.kernel} ({old.version}).",
                "You may override by specifying --force.",
            )
            return False
        if order == "==" and (new or same_bytes(there, mine)):
            version = f"at version {new.version}" if new.version else "(unversioned module)"
            complain(f"Module {there} already installed {version}, override by specifying --force")
            return False
        return True


def _is_obsolete(kernel: str, obsolete_by: str) -> bool:
    """Say whether a kernel is one that has the module itself (source: OBSOLETE_BY in dkms(8))."""
    own, own_abi = _upstream_and_abi(kernel)
    since, since_abi = _upstream_and_abi(obsolete_by)
    if padded(own) != padded(since):
        return padded(own) > padded(since)
    return not since_abi or padded(own_abi) >= padded(since_abi)


def _upstream_and_abi(release: str) -> tuple[str, str]:
    upstream, _, rest = release.partition("-")
    return upstream, rest.partition("-")[0]


def _modprobe_all() -> None:
    """Load what the machine's devices ask for, and what modules-load.d names."""
    script = (
        "find /sys/devices -name modalias -print0 | xargs -0 cat | sort -u"
        " | xargs modprobe -a -b -q"
    )
    subprocess.run(["sh", "-c", script], check=False)
    unit = "systemd-modules-load.service"
    if os.path.isfile(f"/lib/systemd/system/{unit}"):
        subprocess.run(["systemctl", "restart", unit], check=False)
