"""A package's source on its way into the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess

from lkm.build.dkms_tree import KernelTarget, Package
from lkm.operations.dkms.reporting import DkmsFailure

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.operations.dkms.session import DkmsSession


def first_target(session: DkmsSession) -> KernelTarget:
    """Return the first kernel of the command line; there is always one but for ``--all``."""
    targets = session.settings.targets
    return targets[0] if targets else KernelTarget(os.uname().release, os.uname().machine)


def package_in_conf(session: DkmsSession, path: str) -> Package | None:
    """Return the package that a dkms.conf describes; ``None`` where it names none."""
    if not os.path.isfile(path) or not path.endswith("dkms.conf"):
        return None
    settings = session.settings
    place = Package(settings.module, settings.version)
    conf = session.conf(place, first_target(session), path)
    require_names(conf.package_name, conf.package_version)
    return Package(conf.package_name, conf.package_version)


def require_names(*names: str) -> None:
    """Raise ``DkmsFailure`` for what would lead out of the trees, as the name of a folder."""
    for name in names:
        if "/" in name or name in (".", ".."):
            raise DkmsFailure(8, f"'{name}' cannot be a name: it would lead out of the tree.")


def copy_source(session: DkmsSession, folder: str) -> Package:
    """Copy a folder with a dkms.conf into the source tree; return the package it is."""
    settings, tree = session.settings, session.tree
    origin = os.path.realpath(folder)
    if not os.path.isfile(f"{origin}/dkms.conf"):
        raise DkmsFailure(9, f"{folder} must contain a dkms.conf file!")
    require_writable(settings.source_tree)
    package = package_in_conf(session, f"{origin}/dkms.conf")
    if package is None:
        raise DkmsFailure(10, "Malformed dkms.conf file. Cannot load source tree.")
    target = tree.source_folder(package)
    if session.force and os.path.isdir(target):
        session.reporter.complain(f"\nForcing install of {package}")
        if os.path.realpath(target) != origin:
            shutil.rmtree(target)
    places = (target, tree.source(package), tree.build_folder(package))
    if origin in places or origin == os.path.realpath(target):
        return package
    if os.path.isdir(target):
        _copy(f"{origin}/", target)
    else:
        fresh = f"{target}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        os.makedirs(fresh)
        _copy(f"{origin}/", fresh)
        os.rename(fresh, target)
    return package


def _copy(origin: str, target: str) -> None:
    done = subprocess.run(
        ["cp", "--reflink=auto", "-fprT", origin, target], capture_output=True, check=False
    )
    if done.returncode:
        raise DkmsFailure(1, f"Copying '{origin}' failed", os.fsdecode(done.stderr).strip())


def require_writable(folder: str) -> None:
    """Raise ``DkmsFailure`` unless this user may write where it takes root on most machines."""
    if os.geteuid() == 0:
        return
    while not os.path.exists(folder):
        folder = os.path.dirname(folder) or "."
    if not os.access(folder, os.W_OK):
        raise DkmsFailure(1, "You must be root to use this command.")
