"""Build a package's modules for a kernel: copy, patch, make, strip, sign, pack, keep.

Source: dkms's ``do_build``. What was built appears under its name in one rename.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time

from lkm.build import dkms_compilers, dkms_kernel
from lkm.build.dkms_version import natural_key
from lkm.operations.dkms import add, attempts, signing, steps
from lkm.operations.dkms.reporting import DkmsFailure, ScriptFailure, warn
from lkm.operations.dkms.settings import COMPATIBLE

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping

    from lkm.build.dkms_conf import BuiltModule, DkmsConf
    from lkm.build.dkms_tree import KernelTarget, Package
    from lkm.operations.dkms.session import DkmsSession
    from lkm.operations.dkms.settings import DkmsSigner

_APPORT = "/usr/share/apport/apport"
_APPORT_HOOK = "/usr/share/apport/package-hooks/dkms_packages.py"
_PACKERS = {".gz": "gzip", ".xz": "xz", ".zst": "zstd"}
_PACKER_OPTIONS = {
    ".gz": "compress_gzip_opts",
    ".xz": "compress_xz_opts",
    ".zst": "compress_zstd_opts",
}


def build_unless_built(session: DkmsSession, package: Package | None, target: KernelTarget) -> None:
    """Do what the verb ``build`` does for one kernel."""
    if package and session.tree.is_built(package, target):
        if not session.force:
            session.reporter.say(
                f"Module {package} already built for kernel {target}, skip."
                " You may override by specifying --force."
            )
            return
        discard(session, package, target)
    build(session, package, target)


def build(session: DkmsSession, package: Package | None, target: KernelTarget) -> Package:
    """Build a package, added before if need be; return it. Raises ``DkmsFailure``."""
    if not target.kernel or not target.arch:
        raise DkmsFailure(16, "do_build: Empty $kernelver or $arch")
    if package is None or not session.tree.is_added(package):
        package = add.add(session) if package is None else add.add_package(session, package)
        session.reporter.say("")
    _Build(session, package, target).run()
    return package


def discard(session: DkmsSession, package: Package, target: KernelTarget) -> None:
    """Remove what was built for a kernel."""
    folder = session.tree.built_folder(package, target)
    above = os.path.dirname(folder)
    if os.path.isdir(folder):
        gone = tempfile.mkdtemp(prefix=f".tmp_{target.arch}_", dir=above)
        os.rename(folder, f"{gone}/old")  # at once: a half of it must not look like built
        shutil.rmtree(gone, ignore_errors=True)
    if not any(entry.is_dir() for entry in _visible(above)):
        shutil.rmtree(above, ignore_errors=True)


def _visible(folder: str) -> list[os.DirEntry[str]]:
    try:
        return [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError:
        return []


def prepare(session: DkmsSession, target: KernelTarget) -> DkmsSigner | None:
    """Check a kernel's headers and prepare its signing, announced once; return the signer."""
    if session.prepared and session.prepared[0] == target:
        return session.prepared[1]
    require_headers(session, target)
    signer = signing.prepare(session, target)
    session.prepared = (target, signer)
    session.reporter.say("")
    return signer


def require_headers(session: DkmsSession, target: KernelTarget) -> None:
    """Raise ``DkmsFailure`` where nothing can be built for a kernel."""
    if session.kernel(target).has_headers:
        return
    folder = f"{session.settings.install_tree}/{target.kernel}"
    raise DkmsFailure(
        21,
        f"Your kernel headers for kernel {target.kernel} cannot be found at"
        f" {folder}/build or {folder}/source.",
        f"Please install the linux-headers-{target.kernel} package or use the"
        " --kernelsourcedir option to tell DKMS where it's located.",
    )


class _Build:
    """One build of one package for one kernel."""

    def __init__(self, session: DkmsSession, package: Package, target: KernelTarget) -> None:
        self._session = session
        self._package = package
        self._target = target
        self._folder = session.tree.build_folder(package)
        self._log = f"{self._folder}/make.log"
        self._result = session.tree.built_folder(package, target)

    def run(self) -> None:
        """Go through all steps; raises ``DkmsFailure``."""
        conf = self._checked_conf()
        signer = prepare(self._session, self._target)
        kernel = self._session.kernel(self._target)
        chosen = dkms_compilers.compiler_variables(kernel)
        if conf.clang:
            chosen["LLVM"] = "1"
        env = steps.build_environment(self._session, chosen)
        self._require_depends(conf)
        self._copy_source()
        status = 0
        try:
            self._make(conf, env)
            kept = self._collect(conf, signer, env)
        except DkmsFailure as failure:
            status = failure.status
            raise
        finally:
            attempts.keep(self._package, self._target, self._log, status)
        os.replace(kept, self._result)
        log = self._log
        steps.run_script(
            self._session,
            self._package,
            "post_build",
            conf.scripts["post_build"],
            log=log,
            env=env,
        )
        if os.path.exists(log):
            os.replace(log, f"{self._result}/log/make.log")
        shutil.rmtree(self._folder, ignore_errors=True)
        if conf.rebuild_with_depends and not self._session.force:
            note_depends(self._session, conf, self._package, self._target)

    def _checked_conf(self) -> DkmsConf:
        session, package = self._session, self._package
        if os.path.isdir(self._result):
            raise DkmsFailure(
                3,
                f"This module/version has already been built on: {self._target.kernel}",
                f"Directory {self._result} already exists. Use the dkms remove function"
                " before trying to build again.",
            )
        conf = session.conf(package, self._target, strict=True)
        if conf.is_excluded:
            raise DkmsFailure(
                77,
                f"The {self._result}/dkms.conf",
                f"for module {package} includes BUILD_EXCLUSIVE directives",
                "which do not match this kernel/arch/config for any modules.",
                "This indicates that it should not be built.",
                kind="Warning:",
            )
        source = session.tree.source(package)
        if len(_visible(source)) < 2:
            raise DkmsFailure(
                8,
                f"The directory {source} does not appear to have module source located within it.",
                "Build halted.",
            )
        return conf

    def _require_depends(self, conf: DkmsConf) -> None:
        tree, target = self._session.tree, self._target
        missing = [name for name in conf.build_depends if not tree.is_dependency_met(name, target)]
        if not missing:
            return
        what = f"module {self._package} for kernel {target}"
        names = "".join(f" {name}" for name in missing)
        if self._session.force:
            text = f"Trying to build {what} despite of missing BUILD_DEPENDS:{names}."
            warn(self._session.reporter, text)
            return
        raise DkmsFailure(
            13,
            f"Aborting build of {what} due to missing BUILD_DEPENDS:{names}.",
            "You may override by specifying --force.",
        )

    def _copy_source(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        _copy(f"{self._session.tree.source(self._package)}/", self._folder)
        own = f"{self._session.settings.etc}/{self._package.module}/patches"
        if os.path.isdir(own):
            os.makedirs(f"{self._folder}/patches", exist_ok=True)
            _copy(f"{own}/.", f"{self._folder}/patches")
        with open(self._log, "a", encoding="utf-8") as log:
            log.write(f"DKMS ({COMPATIBLE}) make.log for {self._package} for kernel")
            log.write(f" {self._target}\n{time.strftime('%a %b %e %H:%M:%S %Z %Y')}\n")

    def _make(self, conf: DkmsConf, env: Mapping[str, str]) -> None:
        for patch in conf.patches:
            self._apply(patch, env)
        script = conf.scripts["pre_build"]
        steps.run_script(self._session, self._package, "pre_build", script, log=self._log, env=env)
        command = conf.make
        if command.startswith("make"):
            jobs = f"make -j{self._session.settings.jobs} KERNELRELEASE={self._target.kernel}"
            command = jobs + command[len("make") :]
        if self._shell(command, "Building module(s)", env):
            raise self._problem(
                10,
                f"Bad return status for module build on kernel: {self._target}",
                f"Consult {self._log} for more information.",
            )
        for module in conf.fitting:
            if not os.path.exists(f"{self._folder}/{module.built}.ko"):
                raise self._problem(
                    7,
                    f"Build of {module.built}.ko failed for: {self._target}",
                    "Make sure the name and location of the generated module are correct,",
                    f"or consult {self._log} for more information.",
                )

    def _apply(self, patch: str, env: Mapping[str, str]) -> None:
        if "/../" in f"patches/{patch}":
            raise self._problem(
                5, f"Patch {patch} as specified in dkms.conf contains '..' path component."
            )
        if not os.path.exists(f"{self._folder}/patches/{patch}"):
            raise self._problem(
                5,
                f"Patch {patch} as specified in dkms.conf cannot be",
                f"found in {self._folder}/patches/.",
            )
        if self._shell(f"patch -p1 < ./patches/{patch}", f"Applying patch {patch}", env):
            raise self._problem(
                6,
                f"Application of patch {patch} failed.",
                f"Consult {self._log} for more information.",
            )

    def _shell(self, command: str, description: str, env: Mapping[str, str]) -> int:
        name = self._package.module
        is_test = name.startswith("dkms") and name.endswith("_test")
        return steps.shell(
            self._session,
            command,
            description,
            log=self._log,
            cwd=self._folder,
            env=env,
            variables=self._visible(),
            dots=not is_test,
        )

    def _visible(self) -> dict[str, str]:
        """Return the variables of dkms's that a make command may use without their export."""
        settings, kernel = self._session.settings, self._session.kernel(self._target)
        return {
            "module": self._package.module,
            "module_version": self._package.version,
            "PACKAGE_NAME": self._package.module,
            "PACKAGE_VERSION": self._package.version,
            "kernelver": self._target.kernel,
            "arch": self._target.arch,
            "kernel_source_dir": kernel.headers,
            "kernel_config": kernel.config,
            "dkms_tree": settings.dkms_tree,
            "source_tree": settings.source_tree,
            "install_tree": settings.install_tree,
            "parallel_jobs": settings.jobs,
        }

    def _problem(self, status: int, *lines: str) -> DkmsFailure:
        if os.access(_APPORT, os.X_OK) and os.path.exists(_APPORT_HOOK):
            names = ("-m", self._package.module, "-v", self._package.version)
            command = ["python3", _APPORT_HOOK, *names, "-k", self._target.kernel]
            self._session.reporter.run(command, "/", dict(os.environ))
        return DkmsFailure(status, *lines)

    def _collect(self, conf: DkmsConf, signer: DkmsSigner | None, env: Mapping[str, str]) -> str:
        """Finish each module and put all beside the place they are for; return that folder."""
        above = os.path.dirname(self._result)
        os.makedirs(above, exist_ok=True)
        kept = tempfile.mkdtemp(prefix=f".tmp_{self._target.arch}_", dir=above)
        try:
            for part in ("log", "module"):
                os.mkdir(f"{kept}/{part}")
            symvers = f"{self._folder}/Module.symvers"
            if os.path.isfile(symvers):
                _copy(symvers, f"{kept}/module/Module.symvers")
            for module in conf.fitting:
                self._finish(module, f"{kept}/module", signer, env)
            for module in conf.fitting:
                ending = self._session.ending(self._target)
                if not dkms_kernel.module_in(f"{kept}/module", module.name, ending):
                    raise DkmsFailure(7, f"Missing module '{module.name}' in {kept}/module")
            os.chmod(kept, 0o755)
        except BaseException:
            shutil.rmtree(kept, ignore_errors=True)
            if not os.listdir(above):
                os.rmdir(above)
            raise
        return kept

    def _finish(
        self,
        module: BuiltModule,
        folder: str,
        signer: DkmsSigner | None,
        env: Mapping[str, str],
    ) -> None:
        built = f"{self._folder}/{module.built}.ko"
        if not os.path.isfile(built):
            warn(self._session.reporter, f"{built} has disappeared")
            return
        if module.strip:
            program = "llvm-strip" if env.get("CC") == "clang" else "strip"
            subprocess.run([program, "-g", built], env=dict(env), check=False)
        if signer:
            self._session.reporter.say(f"Signing module {built}")
            signing.sign(self._session, signer, built)
        ending = self._pack(built)
        _copy(built + ending, f"{folder}/{module.name}.ko{ending}")

    def _pack(self, built: str) -> str:
        """Pack a module as the kernel's own are; return the ending, empty if that failed."""
        ending = self._session.ending(self._target)
        if not ending:
            return ""
        options = self._session.settings.framework.get(_PACKER_OPTIONS[ending], "").split()
        command = [_PACKERS[ending], *options, "-f", built]
        try:
            done = subprocess.run(command, check=False)
        except OSError as error:
            warn(self._session.reporter, f"{command[0]} cannot be run ({error.strerror})")
            return ""
        return ending if done.returncode == 0 else ""


def note_depends(
    session: DkmsSession, conf: DkmsConf, package: Package, target: KernelTarget
) -> None:
    """Keep which versions of its dependencies a package was built against."""
    for name in conf.build_depends:
        version = depend_version(session, name, target)
        if version:
            path = f"{session.tree.built_folder(package, target)}/.dep_{name}"
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"{version}\n")


def depend_version(session: DkmsSession, name: str, target: KernelTarget) -> str:
    """Return the newest version of a dependency in the tree."""
    entries = session.tree.status(name, "", target.kernel, target.arch)
    versions = [entry.package.version for entry in entries]
    return max(versions, key=natural_key, default="")


def _copy(origin: str, target: str) -> None:
    done = subprocess.run(
        ["cp", "--reflink=auto", "-a", origin, target], capture_output=True, check=False
    )
    if done.returncode:
        raise DkmsFailure(1, f"Copying '{origin}' failed", os.fsdecode(done.stderr).strip())


__all__ = ["ScriptFailure", "build", "build_unless_built", "discard", "prepare"]
