"""Mend entries of the tree that dkms calls broken, as far as what is left allows."""

from __future__ import annotations

import os
import shutil

from lkm.operations.dkms import depmod
from lkm.operations.dkms.add import link_source
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_tree import Package
    from lkm.operations.dkms.session import DkmsSession


class Repaired(Record):
    """What was done about a package: ``linked``, ``removed``, or ``kept`` where nothing helps."""

    package: str
    outcome: str
    detail: str


def repair(session: DkmsSession, *, remove: bool) -> list[Repaired]:
    """Link what has its source, and with ``remove`` take out what has none.

    What such a package has installed is taken out of the kernels, and what it had replaced is put
    back.
    """
    settings, tree = session.settings, session.tree
    done = []
    for package in list(tree.packages(settings.module, settings.version)):
        if not tree.is_broken(package):
            continue
        source = tree.source_folder(package)
        if os.path.isdir(source):
            link_source(source, tree.source(package), settings.root)
            done.append(Repaired(str(package), "linked", source))
        elif remove:
            done.append(Repaired(str(package), "removed", _remove(session, package)))
        else:
            text = f"{source} is gone: install it again, or use --force to remove the entry"
            done.append(Repaired(str(package), "kept", text))
    return done


def _remove(session: DkmsSession, package: Package) -> str:
    """Remove an entry without a source, and the files of it that are still installed."""
    tree = session.tree
    taken = []
    for target in list(tree.targets(package)):
        if not tree.is_active(package, target):
            continue
        built = f"{tree.built_folder(package, target)}/module"
        names = [name for name in os.listdir(built) if ".ko" in name]
        kernel = session.kernel(target)
        for path in list(kernel.module_files()):
            if os.path.basename(path) in names and _is_same(
                path, f"{built}/{os.path.basename(path)}"
            ):
                os.unlink(path)
                taken.append(path)
        _restore_all(session, package, target.kernel, target.arch)
        os.unlink(tree.active_link(package.module, target))
        depmod.run(session, target)
    folder = tree.package_folder(package)
    shutil.rmtree(folder)
    above = os.path.dirname(folder)
    if not os.listdir(above):
        os.rmdir(above)
    return f"{len(taken)} installed files went with it" if taken else "nothing of it was installed"


def _is_same(first: str, second: str) -> bool:
    from lkm.build.dkms_moduleversion import same_bytes

    return same_bytes(first, second)


def _restore_all(session: DkmsSession, package: Package, kernel: str, arch: str) -> None:
    from lkm.build.dkms_tree import KernelTarget

    folder = session.tree.originals(package.module, KernelTarget(kernel, arch))
    if not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        origin = f"{folder}/{name}.origin"
        if not os.path.isfile(origin):
            continue
        with open(origin, encoding="utf-8") as file:
            place = file.readline().rstrip("\n")
        if place.startswith(f"{session.settings.install_tree}/{kernel}/"):
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shutil.move(f"{folder}/{name}", place)
            session.reporter.say(f"Restoring archived original module {place}")
    shutil.rmtree(folder)
