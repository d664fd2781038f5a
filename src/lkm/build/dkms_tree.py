"""The DKMS tree: which packages it knows, and what is built and installed of them.

The tree is dkms's own (``/var/lib/dkms``), so that either program carries on what the other began:
``M/V/source`` links to the source, ``M/V/K/A`` holds what was built of version V for kernel K, and
``M/kernel-K-A`` links to the version that is installed there.
"""

from __future__ import annotations

import os
import re

from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterator

_KERNEL = re.compile(r"[0-9]{1,9}\.")
_PATTERN = re.compile(r"[*?\[]")


class Package(Record):
    """A module package: its name and version."""

    module: str
    version: str

    def __str__(self) -> str:
        return f"{self.module}/{self.version}"


class KernelTarget(Record):
    """A kernel release and an architecture."""

    kernel: str
    arch: str

    def __str__(self) -> str:
        return f"{self.kernel} ({self.arch})"


class Entry(Record):
    """One line of status: a package, its state, and the kernel when it is built for one.

    ``state`` is one of ``broken``, ``added``, ``built``, ``installed``.
    """

    package: Package
    state: str
    target: KernelTarget | None = None


class DkmsTree(Record):
    """The folders of a DKMS tree and of its sources."""

    path: str
    source_tree: str

    def package_folder(self, package: Package) -> str:
        """Return the folder of one version."""
        return f"{self.path}/{package.module}/{package.version}"

    def source(self, package: Package) -> str:
        """Return the link to a version's source."""
        return f"{self.package_folder(package)}/source"

    def build_folder(self, package: Package) -> str:
        """Return where a version is being built, or was in vain."""
        return f"{self.package_folder(package)}/build"

    def source_folder(self, package: Package) -> str:
        """Return the source's own folder, ``/usr/src/M-V``."""
        return f"{self.source_tree}/{package.module}-{package.version}"

    def built_folder(self, package: Package, target: KernelTarget) -> str:
        """Return where the modules built for a kernel are."""
        return f"{self.package_folder(package)}/{target.kernel}/{target.arch}"

    def active_link(self, module: str, target: KernelTarget) -> str:
        """Return the link to the version installed for a kernel."""
        return f"{self.path}/{module}/kernel-{target.kernel}-{target.arch}"

    def originals(self, module: str, target: KernelTarget) -> str:
        """Return where the modules that a package took the place of are kept."""
        return f"{self.path}/{module}/original_module/{target.kernel}/{target.arch}"

    def is_broken(self, package: Package) -> bool:
        """Whether its source is gone, or the link to it."""
        if not package.module or not package.version:
            return False
        if not os.path.isdir(self.package_folder(package)):
            return False
        source = self.source(package)
        if os.path.islink(source):
            return not os.path.isdir(source)
        return os.path.isdir(self.source_folder(package))

    def is_added(self, package: Package) -> bool:
        """Whether the tree knows it and its source is there."""
        if not package.module or not package.version:
            return False
        source = self.source(package)
        return os.path.islink(source) and os.path.isdir(source)

    def is_built(self, package: Package, target: KernelTarget) -> bool:
        """Whether it is built for a kernel."""
        if not (package.module and package.version and target.kernel and target.arch):
            return False
        return os.path.isdir(f"{self.built_folder(package, target)}/module")

    def is_active(self, package: Package, target: KernelTarget) -> bool:
        """Whether the link of what is installed names it."""
        link = self.active_link(package.module, target)
        if not os.path.islink(link):
            return False
        return os.path.realpath(link) == os.path.realpath(self.built_folder(package, target))

    def is_installed(self, package: Package, target: KernelTarget) -> bool:
        """Whether it is built and installed for a kernel."""
        return self.is_built(package, target) and self.is_active(package, target)

    def packages(self, module: str = "", version: str = "") -> Iterator[Package]:
        """Yield the packages in the tree; names may be shell patterns, none means all."""
        for name in _children(self.path, module):
            for found in _children(f"{self.path}/{name}", version):
                package = Package(name, found)
                if not _is_link_name(found) and os.path.isdir(self.package_folder(package)):
                    yield package

    def targets(self, package: Package, kernel: str = "", arch: str = "") -> Iterator[KernelTarget]:
        """Yield the kernels it is built for; names may be shell patterns, none means all."""
        folder = self.package_folder(package)
        for release in _children(folder, kernel):
            if not kernel and not _KERNEL.match(release):
                continue
            for machine in _children(f"{folder}/{release}", arch):
                target = KernelTarget(release, machine)
                if self.is_built(package, target):
                    yield target

    def status(
        self, module: str = "", version: str = "", kernel: str = "", arch: str = ""
    ) -> Iterator[Entry]:
        """Yield what is known of packages, in dkms's order (source: ``module_status``)."""
        for package in self.packages(module, version):
            if self.is_broken(package):
                yield Entry(package, "broken")
            elif self.is_added(package):
                targets = list(self.targets(package, kernel, arch))
                for target in targets:
                    state = "installed" if self.is_active(package, target) else "built"
                    yield Entry(package, state, target)
                if not targets:
                    yield Entry(package, "added")

    def is_dependency_met(self, module: str, target: KernelTarget) -> bool:
        """Whether some version of ``module`` is installed for a kernel."""
        entries = self.status(module, "", target.kernel, target.arch)
        return any(entry.state == "installed" for entry in entries)


def _is_link_name(name: str) -> bool:
    return name.startswith("kernel-") and "-" in name[len("kernel-") :]


def _children(folder: str, pattern: str) -> list[str]:
    """Return the names in ``folder`` that a shell would put in place of ``pattern``, in order."""
    if pattern and not _PATTERN.search(pattern):
        return [pattern] if os.path.lexists(f"{folder}/{pattern}") else []
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []
    if not pattern:
        return names
    from fnmatch import fnmatchcase  # few ask for a pattern

    return [name for name in names if fnmatchcase(name, pattern)]
