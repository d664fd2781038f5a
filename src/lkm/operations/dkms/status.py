"""What the tree says of packages and kernels, and how what is installed differs from it."""

from __future__ import annotations

import os

from lkm.build import dkms_kernel
from lkm.build.dkms_moduleversion import same_bytes
from lkm.operations.dkms.reporting import DkmsFailure, error, tell
from lkm.operations.dkms.uninstall import actual_location
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lkm.build.dkms_tree import Entry, KernelTarget, Package
    from lkm.operations.dkms.session import DkmsSession

ORIGINALS = "(Original modules exist)"
MISSING = "(Built modules are missing in the kernel modules folder)"
DIFFERENT = "(Differences between built and installed modules)"


class StatusLine(Record):
    """One line of status: the entry, and dkms's remarks on it."""

    entry: Entry
    remarks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The line as dkms prints it."""
        entry = self.entry
        if entry.target is None:
            return f"{entry.package}: {entry.state}"
        remarks = "".join(f" {remark}" for remark in self.remarks)
        target = entry.target
        return f"{entry.package}, {target.kernel}, {target.arch}: {entry.state}{remarks}"


def status(session: DkmsSession) -> Iterator[StatusLine]:
    """Yield the lines that the command line asks for, in dkms's order.

    Problems with a package's configuration are reported as they are met.
    """
    settings = session.settings
    wanted = [(target.kernel, target.arch) for target in settings.targets] or [("", "")]
    entries: list[Entry] = []
    for kernel, arch in wanted:
        entries += session.tree.status(settings.module, settings.version, kernel, arch)
    session.read_ahead(
        (entry.package, entry.target, "") for entry in entries if entry.target is not None
    )
    for entry in entries:
        said = remarks(session, entry.package, entry.target) if entry.target else ()
        yield StatusLine(entry, said)


def report_broken(session: DkmsSession, line: StatusLine) -> None:
    """Say what is wrong with a broken package, as dkms does beneath its line."""
    if line.entry.state == "broken":
        error(
            session.reporter,
            f"{line.entry.package}: Missing the module source directory"
            " or the symbolic link pointing to it.",
            "Manual intervention is required!",
        )


def remarks(session: DkmsSession, package: Package, target: KernelTarget) -> tuple[str, ...]:
    """Return what dkms adds to a line of something built: how it differs from what is installed."""
    tree = session.tree
    path = f"{tree.source(package)}/dkms.conf"
    try:
        conf = session.conf(package, target, path)
    except DkmsFailure as failure:
        if failure.status != 8:  # a faulty file is shown for what it has
            tell(session.reporter, failure)
            return ()
        read = session.conf_read(package, target, path)
        if read is None:
            return ()
        conf = read
    found = [ORIGINALS] if os.path.isdir(tree.originals(package.module, target)) else []
    folder = f"{session.settings.install_tree}/{target.kernel}"
    active = tree.is_active(package, target)
    for module in conf.fitting:
        built = _module(session, f"{tree.built_folder(package, target)}/module", module.name)
        if not built:
            found.append(MISSING)
            break
        if not active:
            continue
        location = actual_location(session, package, target, module)
        installed = _module(session, f"{folder}{location}", module.name)
        if not same_bytes(built, installed):
            found.append(DIFFERENT)
            break
    return tuple(found)


def _module(session: DkmsSession, folder: str, name: str) -> str:
    return dkms_kernel.module_in(folder, name)
