"""Install the newest version of every package that wants it, for one kernel.

What a round can build is built side by side; what is said, and the order of installing, are those
of one after the other. Source: dkms's ``autoinstall``.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor

from lkm.build import dkms_headers
from lkm.build.dkms_version import padded
from lkm.operations.dkms import build
from lkm.operations.dkms.dependents import install_unless_installed
from lkm.operations.dkms.reporting import DkmsFailure, Recorder, error, tell
from lkm.operations.dkms.uninstall import unbuild
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_tree import KernelTarget, Package
    from lkm.operations.dkms.session import DkmsSession

EXCLUDED = 77


class WantedPackage(Record):
    """A package that is to be installed, and what it waits for."""

    package: Package
    depends: tuple[str, ...]


class _Autoinstall:
    """One run for one kernel."""

    def __init__(self, session: DkmsSession, target: KernelTarget) -> None:
        self._session = session
        self._target = target
        self._known: list[Package] = []
        self._waiting: list[WantedPackage] = []
        self._missing_headers: DkmsFailure | None = None
        self.installed: list[str] = []
        self._skipped: list[str] = []
        self._failed: list[str] = []
        self.changed = False

    def run(self) -> None:
        """Go in rounds until none makes progress; raises ``DkmsFailure`` 11 or 21."""
        self._find_newest()
        self._find_wanted()
        if not self._waiting and not self._failed:
            return
        while self._round():
            pass
        if self._missing_headers and not (self.changed or self._failed):
            raise self._missing_headers
        self._sum_up()

    def _find_newest(self) -> None:
        newest: dict[str, Package] = {}
        for entry in self._session.tree.status():
            package = entry.package
            if entry.state == "broken":
                error(
                    self._session.reporter,
                    f"{package} is broken! Missing the source directory"
                    " or the symbolic link pointing to it.",
                    "Manual intervention is required!",
                )
                continue
            old = newest.get(package.module)
            if old is None or padded(package.version) > padded(old.version):
                newest[package.module] = package
        self._known = list(newest.values())

    def _find_wanted(self) -> None:
        session, target = self._session, self._target
        active = [p for p in self._known if session.tree.is_active(p, target)]
        others = [package for package in self._known if package not in active]
        session.read_ahead((package, target, "") for package in others)
        for package in self._known:
            if package in active and not self._take_out_if_outdated(package):
                self.installed.append(package.module)
                continue
            try:
                path = f"{session.tree.source(package)}/dkms.conf"
                conf = session.conf(package, target, path)
            except DkmsFailure as failure:
                tell(session.reporter, failure)
                self._failed.append(f"{package.module}({failure.status})")
                continue
            if conf.autoinstall:
                self._waiting.append(WantedPackage(package, conf.build_depends))

    def _take_out_if_outdated(self, package: Package) -> bool:
        """Take out what was built against other headers of the same release; say whether it was."""
        session, target = self._session, self._target
        folder = session.tree.built_folder(package, target)
        headers = session.kernel(target).headers
        if not dkms_headers.is_outdated(f"{folder}/module", headers):
            return False
        session.reporter.say(
            f"The headers of kernel {target.kernel} have changed since {package} was built:"
            " it is built again."
        )
        try:
            unbuild(session, package, target)
        except DkmsFailure as failure:
            tell(session.reporter, failure)
            return False
        return True

    def _round(self) -> bool:
        """Try what no longer waits; return whether anything was installed or excluded."""
        ready = [wanted for wanted in self._waiting if not self._unmet(wanted)]
        self._waiting = [wanted for wanted in self._waiting if self._unmet(wanted)]
        unbuilt = [w for w in ready if not self._session.tree.is_built(w.package, self._target)]
        if unbuilt and self._missing_headers is None:
            self._prepare()
        if self._missing_headers:
            # What is built already can be installed nevertheless.
            self._waiting += unbuilt
            ready = [wanted for wanted in ready if wanted not in unbuilt]
            unbuilt = []
        progress = False
        with _Builders(self._session, self._target, [w.package for w in unbuilt]) as builders:
            for wanted in ready:
                progress |= self._install(wanted.package, builders)
        return progress

    def _unmet(self, wanted: WantedPackage) -> list[str]:
        met = {*self.installed, *self._skipped}
        return [name for name in wanted.depends if name not in met]

    def _prepare(self) -> None:
        try:
            build.prepare(self._session, self._target)
        except DkmsFailure as failure:
            self._missing_headers = failure

    def _install(self, package: Package, builders: _Builders) -> bool:
        session, target = self._session, self._target
        session.reporter.say(f"Autoinstall of module {package} for kernel {target}")
        status = 0
        try:
            with session.subshell():
                builders.result(package, session)
                install_unless_installed(session, package, target)
        except DkmsFailure as failure:
            tell(session.reporter, failure)
            status = failure.status
        session.reporter.say("")
        if status == 0:
            self.installed.append(package.module)
            self.changed = True
        elif status == EXCLUDED:
            self._skipped.append(package.module)
        else:
            self._failed.append(f"{package.module}({status})")
        return status in (0, EXCLUDED)

    def _sum_up(self) -> None:
        say, kernel = self._session.reporter.say, self._target.kernel
        for outcome, names in (
            ("succeeded", self.installed),
            ("was skipped", self._skipped),
            ("failed", self._failed),
        ):
            if names:
                say(f"Autoinstall on {kernel} {outcome} for module(s) {' '.join(names)}.")
        if self._missing_headers:
            raise self._missing_headers
        known = {package.module for package in self._known}
        stuck = False
        for wanted in self._waiting:
            unmet = self._unmet(wanted)
            is_known = any(name in known for name in unmet)
            stuck |= is_known
            word = "failed" if is_known else "deferred"
            missing = " ".join(unmet)
            say(f"{wanted.package} autoinstall {word} due to missing dependencies: {missing}.")
        if self._failed or stuck:
            raise DkmsFailure(
                11,
                "One or more modules failed to install during autoinstall.",
                "Refer to previous errors for more information.",
            )


class _Builders:
    """Builds packages side by side; each build's words are kept until its turn comes."""

    def __init__(self, session: DkmsSession, target: KernelTarget, packages: list[Package]) -> None:
        jobs = session.settings.jobs
        limit = int(jobs) if jobs.isdigit() else len(os.sched_getaffinity(0))
        self._workers = min(limit, len(os.sched_getaffinity(0)), len(packages))
        self._recorders: dict[Package, Recorder] = {}
        self._sessions: dict[Package, DkmsSession] = {}
        self._builds: dict[Package, Future[None]] = {}
        self._pool: ThreadPoolExecutor | None = None
        if self._workers < 2:
            return
        self._pool = ThreadPoolExecutor(self._workers)
        session.ending(target)  # found once, for all
        for package in packages:
            recorder = Recorder()
            beside = session.beside(recorder)
            self._recorders[package] = recorder
            self._sessions[package] = beside
            self._builds[package] = self._pool.submit(_build, beside, package, target)

    def __enter__(self) -> _Builders:
        return self

    def result(self, package: Package, session: DkmsSession) -> None:
        """Wait for a build and say what it said; raises its ``DkmsFailure``."""
        if package not in self._builds:
            return
        try:
            self._builds[package].result()
        finally:
            self._recorders[package].pass_on(session.reporter)
            session.continue_from(self._sessions[package])

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)


def _build(session: DkmsSession, package: Package, target: KernelTarget) -> None:
    build.build_unless_built(session, package, target)


def autoinstall(session: DkmsSession, target: KernelTarget) -> bool:
    """Run autoinstall for a kernel; return whether anything was installed."""
    if os.path.isfile(f"{session.settings.etc}/no-autoinstall"):
        session.reporter.say("Automatic installation of modules has been disabled.")
        return False
    run = _Autoinstall(session, target)
    run.run()
    return run.changed
