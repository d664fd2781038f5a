"""Make a package known to the tree: by name, from a folder, from an archive."""

from __future__ import annotations

import os

from lkm.build.dkms_tree import Package
from lkm.operations.dkms import steps
from lkm.operations.dkms.reporting import DkmsFailure
from lkm.operations.dkms.source import copy_source, first_target

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.operations.dkms.session import DkmsSession


def package_named(session: DkmsSession, verb: str) -> Package:
    """Return the package of the command line; raises ``DkmsFailure`` when none was named."""
    settings = session.settings
    if settings.module and settings.version:
        return Package(settings.module, settings.version)
    raise DkmsFailure(
        1,
        "Arguments <module> and <module-version> are not specified.",
        f"Usage: {verb} <module>/<module-version> or",
        f"       {verb} -m <module>/<module-version> or",
        f"       {verb} -m <module> -v <module-version>",
    )


def add(session: DkmsSession) -> Package:
    """Add what the command line names: a package, a folder with dkms.conf, an archive."""
    settings = session.settings
    if settings.module or settings.version:
        return add_package(session, package_named(session, "add"))
    if settings.archive:
        from lkm.operations.dkms.tarball import load_tarball  # few add by archive

        package, _ = load_tarball(session)
    elif settings.source:
        package = copy_source(session, settings.source)
    else:
        package = package_named(session, "add")
    return add_package(session, package)


def add_package(session: DkmsSession, package: Package) -> Package:
    """Link a package whose source is in the source tree."""
    tree, settings = session.tree, session.settings
    if settings.rpm_safe_upgrade:
        from lkm.operations.dkms.rpm_upgrade import note_add  # only rpm's scriptlets ask for it

        note_add(settings.tmp, package)
    if tree.is_added(package):
        raise DkmsFailure(
            3,
            f"DKMS tree already contains: {package}",
            "You cannot add the same module/version combo more than once.",
        )
    source = tree.source_folder(package)
    if not os.path.isdir(source):
        raise DkmsFailure(
            2,
            "Could not find module source directory.",
            f"Directory: {source} does not exist.",
        )
    path = settings.conf or f"{source}/dkms.conf"
    conf = session.conf(package, first_target(session), path, strict=True)
    link = tree.source(package)
    session.reporter.say(f"Creating symlink {link} -> {source}")
    os.makedirs(tree.build_folder(package), exist_ok=True)
    link_source(source, link, settings.root)
    steps.run_script(session, package, "post_add", conf.scripts["post_add"])
    return package


def link_source(source: str, link: str, root: str) -> None:
    """Link to the source; below a root, so that the link holds inside and outside of it."""
    target = os.path.relpath(source, os.path.dirname(link)) if root else source
    temporary = f"{link}.new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.replace(temporary, link)


def require_writable_tree(session: DkmsSession) -> None:
    """Raise ``DkmsFailure`` unless the DKMS tree is there and this user may write to it."""
    path = session.settings.dkms_tree
    if not os.access(path, os.W_OK):
        raise DkmsFailure(1, f"No write access to DKMS tree at {path}")


def refuse_broken(session: DkmsSession, package: Package) -> None:
    """Raise ``DkmsFailure`` for a package whose source, or the link to it, is gone."""
    if session.tree.is_broken(package):
        raise DkmsFailure(
            4,
            f"{package} is broken!",
            "Missing the source directory or the symbolic link pointing to it.",
            "Manual intervention is required!",
        )


def require_added(session: DkmsSession, package: Package) -> None:
    """Raise ``DkmsFailure`` for a package that the tree does not know."""
    if not session.tree.is_added(package):
        raise DkmsFailure(
            3, f"The module/version combo: {package} is not located in the DKMS tree."
        )
