"""What the DKMS operations share while one command runs."""

from __future__ import annotations

import contextlib
import os

from lkm.build import dkms_conf, dkms_kernel
from lkm.build.dkms_shell import ConfTimeoutError
from lkm.errors import LkmError, ToolError
from lkm.operations.dkms.reporting import DkmsFailure

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lkm.build.dkms_conf import DkmsConf
    from lkm.build.dkms_kernel import KernelTree
    from lkm.build.dkms_tree import DkmsTree, KernelTarget, Package
    from lkm.operations.dkms.reporting import Reporter
    from lkm.operations.dkms.settings import DkmsSettings, DkmsSigner

_ConfKey = tuple["Package", "KernelTarget", str]


class DkmsSession:
    """One run: its settings, its reporter, and what was read once and is used again.

    ``prepared`` is the target whose headers and signing have been announced, with its signer.
    """

    def __init__(self, settings: DkmsSettings, reporter: Reporter) -> None:
        self.settings = settings
        self.reporter = reporter
        self.force = settings.force
        self.force_version_override = settings.force_version_override
        self.prepared: tuple[KernelTarget, DkmsSigner | None] | None = None
        self.delayed_depmod: set[KernelTarget] | None = None
        self._last: _ConfKey | None = None
        self._confs: dict[_ConfKey, DkmsConf] = {}
        self._endings: dict[str, str] = {}

    @property
    def tree(self) -> DkmsTree:
        """The DKMS tree."""
        return self.settings.tree

    def beside(self, reporter: Reporter) -> DkmsSession:
        """Return a session for work done side by side, which reports elsewhere."""
        other = DkmsSession(self.settings, reporter)
        other.force = self.force
        other.prepared = self.prepared
        other.delayed_depmod = self.delayed_depmod
        other._last, other._confs = self._last, dict(self._confs)
        other._endings = dict(self._endings)
        return other

    def continue_from(self, other: DkmsSession) -> None:
        """Take what another session has read last as said already."""
        self._last = other._last

    @contextlib.contextmanager
    def subshell(self) -> Iterator[None]:
        """Undo afterwards what a subshell of dkms's could not hand back."""
        kept = self._last, self.prepared, self.force, self.force_version_override
        try:
            yield
        finally:
            self._last, self.prepared, self.force, self.force_version_override = kept

    def kernel(self, target: KernelTarget) -> KernelTree:
        """Return where a kernel's files are."""
        return dkms_kernel.kernel_tree(
            self.settings.install_tree,
            target.kernel,
            headers=self.settings.kernel_source,
            config=self.settings.kernel_config,
        )

    def ending(self, target: KernelTarget) -> str:
        """Return how a kernel's modules are packed."""
        if target.kernel not in self._endings:
            self._endings[target.kernel] = dkms_kernel.packed_ending(self.kernel(target))
        return self._endings[target.kernel]

    def conf(
        self, package: Package, target: KernelTarget, path: str = "", *, strict: bool = False
    ) -> DkmsConf:
        """Return what a package says of itself, having reported what is wrong with it.

        ``path`` is its file if not the usual; ``strict`` is for what must not be done with a
        faulty one. Raises ``DkmsFailure`` (4: no file, 8: not valid).
        """
        given = path or self.settings.conf
        path = given or f"{self.tree.source(package)}/dkms.conf"
        if not os.access(path, os.R_OK):
            raise DkmsFailure(
                4, "Could not locate dkms.conf file.", f"File: {path} does not exist."
            )
        key = (package, target, os.path.realpath(path))
        conf = self._confs.get(key)
        if conf is None:
            try:
                self._read([(package, target, path)])
            except LkmError as error:
                raise DkmsFailure(8, "Bad conf file.", str(error)) from None
            conf = self._confs[key]
        errors = list(conf.errors)
        if key != self._last:
            self._report(conf, strict=strict)
        if strict and not errors:
            if not conf.modules:
                self.reporter.complain("dkms.conf: Warning! Zero modules specified.")
            for line in conf.strict_errors:
                self.reporter.complain(line)
            errors += conf.strict_errors
        if not conf.errors:
            self._last = key
        if errors:
            raise DkmsFailure(
                8,
                "Bad conf file.",
                f"File: {given} does not represent a valid dkms.conf file.",
            )
        return conf

    def conf_read(self, package: Package, target: KernelTarget, path: str) -> DkmsConf | None:
        """Return what was read ahead, faulty or not, and report nothing."""
        return self._confs.get((package, target, os.path.realpath(path)))

    def read_ahead(self, wanted: Iterable[tuple[Package, KernelTarget, str]]) -> None:
        """Read many files by one shell; what is wrong with them is reported when they are used."""
        with contextlib.suppress(ConfTimeoutError, ToolError):
            self._read(wanted)

    def _read(self, wanted: Iterable[tuple[Package, KernelTarget, str]]) -> None:
        new = [
            (package, target, path or f"{self.tree.source(package)}/dkms.conf")
            for package, target, path in wanted
        ]
        new = [entry for entry in new if os.access(entry[2], os.R_OK)]
        jobs = [(self._circumstances(package, target), path) for package, target, path in new]
        confs = dkms_conf.read(jobs, self.settings.directives) if jobs else []
        for (package, target, path), conf in zip(new, confs, strict=True):
            self._confs[package, target, os.path.realpath(path)] = conf

    def _circumstances(self, package: Package, target: KernelTarget) -> dkms_conf.Circumstances:
        kernel = self.kernel(target)
        return dkms_conf.Circumstances(
            module=package.module,
            version=package.version,
            kernel=target.kernel,
            arch=target.arch,
            dkms_tree=self.settings.dkms_tree,
            source_tree=self.settings.source_tree,
            install_tree=self.settings.install_tree,
            tmp=self.settings.tmp,
            kernel_source=kernel.headers,
            kernel_config=kernel.config,
            distribution=self.settings.distribution,
            location=self.settings.module_location,
            etc=self.settings.etc,
        )

    def _report(self, conf: DkmsConf, *, strict: bool) -> None:
        if conf.complaints:
            self.reporter.complain(conf.complaints.rstrip("\n"))
        if strict:
            for name, path in conf.deprecated:
                self.reporter.complain(f"Deprecated feature: {name} ({path})")
        for directive in self.settings.directives:
            name, _, value = directive.partition("=")
            self.reporter.say(f'DIRECTIVE: {name}="{value}"')
        for line in conf.errors:
            self.reporter.complain(line)
