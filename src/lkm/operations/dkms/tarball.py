"""Archives of a package: its source, and what was built of it for kernels.

Source: dkms's ``make_tarball`` and ``load_tarball``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile

from lkm.build.dkms_tree import Package
from lkm.operations.dkms import source as sources
from lkm.operations.dkms.reporting import DkmsFailure, warn

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lkm.operations.dkms.session import DkmsSession

_LONGEST_NAME = 200
_SOURCE, _BINARIES, _MAIN = "dkms_source_tree", "dkms_binaries_only", "dkms_main_tree"


def make_tarball(session: DkmsSession, package: Package) -> str:
    """Write an archive of a package; return its path."""
    settings, say = session.settings, session.reporter.say
    session.conf(package, sources.first_target(session))
    with _temporary(session) as folder:
        os.mkdir(f"{folder}/{_MAIN}")
        kernels = "source-only" if settings.source_only else _add_built(session, package, folder)
        source = session.tree.source(package)
        say("")
        if settings.binaries_only:
            say("Creating tarball structure to specifically accommodate binaries.")
            _describe(session, package, f"{folder}/{_BINARIES}")
        else:
            say(f"Marking {source} for archiving...")
            os.mkdir(f"{folder}/{_SOURCE}")
            _copy(f"{source}/.", f"{folder}/{_SOURCE}")
        if len(kernels) + 1 > _LONGEST_NAME:
            kernels = "manykernels"
        name = f"{package.module}-{package.version}-{kernels}.dkms.tar.gz"
        place = f"{session.tree.package_folder(package)}/tarball/"
        if settings.archive:
            name = os.path.basename(settings.archive)
            place = os.path.dirname(settings.archive) or place
        say(f"\nTarball location: {place}/{name}")
        _write(folder, place, name)
    return f"{place}/{name}"


def _add_built(session: DkmsSession, package: Package, folder: str) -> str:
    """Copy what was built for each kernel; return what names them in the archive's name."""
    names = []
    for target in session.settings.targets:
        built = session.tree.built_folder(package, target)
        if not os.path.isdir(built):
            raise DkmsFailure(
                6,
                f"No modules built for {target}.",
                "Modules must already be in the built state before using mktarball.",
            )
        session.reporter.say(f"Marking modules for {target} for archiving...")
        names.append(f"kernel{target.kernel}-{target.arch}")
        place = f"{folder}/{_MAIN}/{target.kernel}"
        os.makedirs(place, exist_ok=True)
        _copy(built, place)
    return "-".join(names)


def _describe(session: DkmsSession, package: Package, folder: str) -> None:
    os.mkdir(folder)
    for name, text in (("PACKAGE_NAME", package.module), ("PACKAGE_VERSION", package.version)):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
    conf = session.settings.conf or f"{session.tree.source(package)}/dkms.conf"
    if os.path.isfile(conf):
        shutil.copy2(conf, folder)


def _write(folder: str, place: str, name: str) -> None:
    with contextlib.suppress(OSError):
        os.makedirs(place, exist_ok=True)
    if not os.path.isdir(place) or not os.access(place, os.W_OK):
        raise DkmsFailure(9, f"Missing write permissions for {place}.")
    temporary = f"{place}/.new.{name}"  # keeps its ending, by which tar packs
    command = ["tar", "-C", folder, "-caf", temporary, "."]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise DkmsFailure(6, "Failed to make tarball.")
    os.replace(temporary, f"{place}/{name}")


def load_tarball(session: DkmsSession) -> tuple[Package, bool]:
    """Take an archive into the trees; return its package, and whether it has a source to add."""
    archive = session.settings.archive
    if not os.path.exists(archive):
        raise DkmsFailure(2, f"{archive} does not exist.")
    if archive.endswith(".rpm"):
        raise _install_rpm(archive)
    with _temporary(session) as folder:
        subprocess.run(["tar", "-xaf", archive, "-C", folder], check=False)
        if not os.path.isdir(f"{folder}/{_MAIN}"):
            return sources.copy_source(session, _foreign_source(folder)), True
        return _load(session, folder)


def _install_rpm(archive: str) -> DkmsFailure:
    try:
        status = subprocess.run(["rpm", "-Uvh", archive], check=False).returncode
    except OSError:
        status = 1
    if status == 0:
        return DkmsFailure(0)
    return DkmsFailure(
        9,
        f"Unable to install {archive} using rpm.",
        "Check to ensure that your system can install .rpm files.",
    )


def _foreign_source(folder: str) -> str:
    """Return the folder with a dkms.conf in an archive that is not of dkms's own making."""
    for path, _, names in os.walk(folder):
        if "dkms.conf" in names:
            return f"{path}/"
    raise DkmsFailure(
        3,
        "Tarball does not appear to be a correctly formed DKMS archive."
        " No dkms.conf found within it.",
    )


def _load(session: DkmsSession, folder: str) -> tuple[Package, bool]:
    kind, package = _described(session, folder)
    session.reporter.say(f"\nLoading tarball for {package}")
    has_source = kind == _SOURCE
    if has_source:
        sources.copy_source(session, f"{folder}/{_SOURCE}")
    else:
        has_source = os.path.isdir(session.tree.source_folder(package))
        if not has_source:
            _make_stub(session, package, f"{folder}/{_BINARIES}/dkms.conf")
    _load_built(session, package, f"{folder}/{_MAIN}")
    return package, has_source


def _described(session: DkmsSession, folder: str) -> tuple[str, Package]:
    for kind in (_SOURCE, _BINARIES):
        conf = f"{folder}/{kind}/dkms.conf"
        if not os.path.isfile(conf):
            continue
        package = sources.package_in_conf(session, conf)
        if package is None:
            session.reporter.complain("\nMalformed dkms.conf, refusing to load.")
            continue
        if session.tree.is_added(package) and not session.force:
            raise DkmsFailure(8, f"{package} is already added!", "Aborting.")
        return kind, package
    raise DkmsFailure(
        7,
        "No valid dkms.conf in dkms_source_tree or dkms_binaries_only.",
        f"{session.settings.archive} is not a valid DKMS tarball.",
    )


def _make_stub(session: DkmsSession, package: Package, conf: str) -> None:
    """Leave a dkms.conf where the source would be, for modules that came without one."""
    source = session.tree.source(package)
    session.reporter.say(f"Creating {source}")
    os.makedirs(source, exist_ok=True)
    session.reporter.say(f"Copying dkms.conf to {source} ...")
    shutil.copy2(conf, source)


def _load_built(session: DkmsSession, package: Package, folder: str) -> None:
    for kernel in sorted(os.listdir(folder)):
        for arch in sorted(os.listdir(f"{folder}/{kernel}")):
            origin = f"{folder}/{kernel}/{arch}"
            if not os.path.isdir(origin):
                continue
            place = f"{session.tree.package_folder(package)}/{kernel}/{arch}"
            if os.path.isdir(place) and not session.force:
                warn(session.reporter, f"{place} already exists. Skipping...")
                continue
            session.reporter.say(f"Loading {place}...")
            shutil.rmtree(place, ignore_errors=True)
            fresh = f"{os.path.dirname(place)}/.tmp_{arch}_new"
            shutil.rmtree(fresh, ignore_errors=True)
            os.makedirs(fresh)
            _copy(f"{origin}/.", fresh)
            os.rename(fresh, place)


def _copy(origin: str, target: str) -> None:
    command = ["cp", "--reflink=auto", "-fpr", origin, target]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise DkmsFailure(1, f"Copying '{origin}' failed", os.fsdecode(done.stderr).strip())


@contextlib.contextmanager
def _temporary(session: DkmsSession) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="dkms.", dir=session.settings.tmp) as folder:
        os.chmod(folder, 0o755)
        yield folder
