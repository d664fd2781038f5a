"""Install a package, and rebuild those that depend on it where they ask for it.

Source: BUILD_DEPENDS_REBUILD in dkms(8), dkms's ``check_and_rebuild_dependent_modules``.
"""

from __future__ import annotations

from lkm.operations.dkms import build
from lkm.operations.dkms.enrolment import warn_if_refused
from lkm.operations.dkms.install import install_alone
from lkm.operations.dkms.reporting import DkmsFailure, tell
from lkm.operations.dkms.uninstall import uninstall

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_conf import DkmsConf
    from lkm.build.dkms_tree import KernelTarget, Package
    from lkm.operations.dkms.session import DkmsSession


def install_unless_installed(
    session: DkmsSession, package: Package | None, target: KernelTarget
) -> Package:
    """Do what the verb ``install`` does for one kernel; return the package."""
    if package and session.tree.is_installed(package, target):
        if not session.force:
            session.reporter.say(
                f"Module {package} already installed on kernel {target}, skip."
                " You may override by specifying --force."
            )
            return package
        uninstall(session, package, target)
        session.reporter.say("")
    return install(session, package, target)


def install(session: DkmsSession, package: Package | None, target: KernelTarget) -> Package:
    """Install a package, added and built before if need be, then rebuild what depends on it."""
    package = install_alone(session, package, target)
    warn_if_refused(session, package, target)
    rebuild_dependents(session, target)
    return package


def rebuild_dependents(session: DkmsSession, target: KernelTarget) -> None:
    """Rebuild and install again what was built for ``target`` against older dependencies."""
    if session.force:
        return
    done: set[str] = set()
    while True:
        outdated = [package for package in _outdated(session, target) if package.module not in done]
        if not outdated:
            return
        package = outdated[0]
        done.add(package.module)
        session.reporter.say(f"\nRebuilding module {package} due to updated dependencies\n")
        uninstall(session, package, target)
        build.discard(session, package, target)
        try:
            build.build(session, package, target)
            install_alone(session, package, target)
        except DkmsFailure as failure:
            tell(session.reporter, failure)


def _outdated(session: DkmsSession, target: KernelTarget) -> list[Package]:
    found: dict[Package, DkmsConf] = {}
    entries = [
        entry.package
        for entry in session.tree.status(kernel=target.kernel, arch=target.arch)
        if entry.target == target
    ]
    session.read_ahead((package, target, "") for package in entries)
    for package in entries:
        conf = session.conf_read(package, target, f"{session.tree.source(package)}/dkms.conf")
        if conf and not conf.errors and conf.build_depends and conf.rebuild_with_depends:
            found[package] = conf
    outdated = [p for p, conf in found.items() if _is_outdated(session, p, conf, target)]
    # Those that need none of the others come first.
    waiting = {package.module for package in outdated}
    return sorted(outdated, key=lambda p: len(waiting.intersection(found[p].build_depends)))


def _is_outdated(
    session: DkmsSession, package: Package, conf: DkmsConf, target: KernelTarget
) -> bool:
    for name in conf.build_depends:
        version = build.depend_version(session, name, target)
        if not version:
            continue
        path = f"{session.tree.built_folder(package, target)}/.dep_{name}"
        try:
            with open(path, encoding="utf-8") as file:
                if file.read().strip() != version:
                    return True
        except OSError:
            return True
    return False
