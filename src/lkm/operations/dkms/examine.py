"""What stands between each package and each kernel, before anybody reboots to find out.

One finding is one line: what is wrong, and the command that helps. What could not be looked at is
a finding, too.
"""

from __future__ import annotations

import os

from lkm.build import dkms_compilers, dkms_headers, dkms_kernel
from lkm.build.dkms_key import machine_key
from lkm.build.dkms_tree import KernelTarget
from lkm.errors import LkmError
from lkm.module.image import ModuleImage
from lkm.operations.dkms import attempts
from lkm.operations.dkms.reporting import DkmsFailure
from lkm.operations.dkms.settings import read_signing
from lkm.operations.dkms.status import DIFFERENT, MISSING, remarks
from lkm.record import Record
from lkm.signing import certificate, trust_state
from lkm.signing.verify import Enforcement

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lkm.build.dkms_conf import DkmsConf
    from lkm.build.dkms_kernel import KernelTree
    from lkm.build.dkms_tree import Package
    from lkm.operations.dkms.session import DkmsSession
    from lkm.signing.trust_state import TrustState

_HEADERS = {
    "debian": "apt-get install linux-headers-{}",
    "ubuntu": "apt-get install linux-headers-{}",
    "fedora": "dnf install kernel-devel-{}",
    "rhel": "dnf install kernel-devel-{}",
    "arch": "pacman -S linux-headers",
}


class DkmsFinding(Record):
    """Something that is, or will be, in the way.

    ``name`` is for programs (``no-headers``), ``package`` and ``kernel`` are empty where it is
    about all; ``fix`` is a command. A ``note`` is worth knowing and stops nothing.
    """

    name: str
    text: str
    fix: str = ""
    package: str = ""
    kernel: str = ""
    note: bool = False


class _About(Record):
    """A package on a kernel, of which something is found."""

    package: str
    kernel: str

    def finding(self, name: str, text: str, fix: str = "", *, note: bool = False) -> DkmsFinding:
        """Return a finding about it."""
        return DkmsFinding(name, text, fix, self.package, self.kernel, note)


def examine(session: DkmsSession) -> list[DkmsFinding]:
    """Return all findings, for every package (or the one named) and every kernel (or those)."""
    targets = list(session.settings.targets) or installed_kernels(session)
    found = [finding for target in targets for finding in _kernel_findings(session, target)]
    for package in _packages(session):
        if session.tree.is_broken(package):
            found.append(_broken(session, package))
            continue
        for target in targets:
            found += _package_findings(session, package, target)
        found += _leftovers(session, package)
    return [*found, *_key_findings(session)]


def installed_kernels(session: DkmsSession) -> list[KernelTarget]:
    """Return the kernels that have modules of their own here."""
    folder = session.settings.install_tree
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    machine = os.uname().machine
    return [KernelTarget(n, machine) for n in names if os.path.isdir(f"{folder}/{n}/kernel")]


def _packages(session: DkmsSession) -> list[Package]:
    """Return the newest version of each package, and those that are broken or installed."""
    settings = session.settings
    return [
        package
        for package in session.tree.packages(settings.module, settings.version)
        if session.tree.is_added(package) or session.tree.is_broken(package)
    ]


def _kernel_findings(session: DkmsSession, target: KernelTarget) -> Iterator[DkmsFinding]:
    kernel = session.kernel(target)
    if not kernel.has_headers:
        command = _HEADERS.get(_family(session), "install the headers of {}")
        yield DkmsFinding(
            "no-headers",
            "its headers are not here: nothing can be built for it",
            command.format(target.kernel),
            kernel=target.kernel,
        )
        return
    named = kernel.option("CONFIG_CC_VERSION_TEXT").partition(" ")[0]
    if named and not dkms_compilers.is_here(named):
        yield DkmsFinding(
            "no-compiler",
            f"it was compiled with {named}, which is not here",
            f"apt-get install {named.removeprefix('x86_64-linux-gnu-')}"
            if _family(session) in ("debian", "ubuntu")
            else f"install {named}",
            kernel=target.kernel,
        )


def _family(session: DkmsSession) -> str:
    name = session.settings.distribution
    return next((start for start in _HEADERS if name.startswith(start)), "")


def _broken(session: DkmsSession, package: Package) -> DkmsFinding:
    source = session.tree.source_folder(package)
    return DkmsFinding(
        "broken",
        f"its source {source}, or the link to it, is gone: nothing can be done with it",
        f"lkm dkms repair {package}",
        package=str(package),
    )


def _package_findings(
    session: DkmsSession, package: Package, target: KernelTarget
) -> Iterator[DkmsFinding]:
    about = _About(str(package), target.kernel)
    try:
        path = f"{session.tree.source(package)}/dkms.conf"
        session.read_ahead([(package, target, path)])
        conf = session.conf_read(package, target, path)
    except LkmError as error:
        yield about.finding("bad-conf", f"its dkms.conf cannot be read: {error}")
        return
    if conf is None or conf.errors:
        text = "; ".join(conf.errors) if conf else "it has no dkms.conf"
        yield about.finding("bad-conf", text, f"$EDITOR {path}")
        return
    if session.tree.is_built(package, target):
        yield from _built_findings(session, package, target, conf)
        if not session.tree.is_active(package, target) and _is_wanted(session, package, target):
            yield about.finding(
                "not-installed",
                "it is built and not installed",
                f"dkms install {package} -k {target.kernel}",
            )
    elif conf.is_excluded:
        yield about.finding(
            "excluded", "its BUILD_EXCLUSIVE directives leave this kernel out", note=True
        )
    elif not session.kernel(target).has_headers:
        return  # which is said of the kernel
    elif conf.autoinstall and _is_newest(session, package):
        yield _not_built(session, package, target, conf)


def _is_newest(session: DkmsSession, package: Package) -> bool:
    from lkm.build.dkms_version import padded

    versions = [
        p.version for p in session.tree.packages(package.module) if session.tree.is_added(p)
    ]
    return padded(package.version) >= max(map(padded, versions), default="")


def _is_wanted(session: DkmsSession, package: Package, target: KernelTarget) -> bool:
    """Whether no version of the package is installed for the kernel."""
    others = session.tree.packages(package.module)
    return not any(session.tree.is_installed(other, target) for other in others)


def _not_built(
    session: DkmsSession, package: Package, target: KernelTarget, conf: DkmsConf
) -> DkmsFinding:
    about = _About(str(package), target.kernel)
    log = attempts.last_failure(package, target)
    if log:
        line = attempts.decisive_line(log)
        text = f"its last build failed: {line}" if line else "its last build failed"
        return about.finding("build-failed", text, f"less {log}")
    missing = [n for n in conf.build_depends if not session.tree.is_dependency_met(n, target)]
    if missing:
        text = f"it needs packages that are not installed: {' '.join(missing)}"
        return about.finding("missing-depends", text)
    text = "it wants to be installed for every kernel and is not for this one"
    return about.finding("not-built", text, f"dkms autoinstall -k {target.kernel}")


def _built_findings(
    session: DkmsSession, package: Package, target: KernelTarget, conf: DkmsConf
) -> Iterator[DkmsFinding]:
    about = _About(str(package), target.kernel)
    again = f"dkms install {package} -k {target.kernel} --force"
    rebuild = f"dkms build {package} -k {target.kernel} --force && {again}"
    try:
        said = remarks(session, package, target)
    except DkmsFailure:
        said = ()
    if MISSING in said:
        yield about.finding("module-missing", "what was built of it is gone", rebuild)
    if DIFFERENT in said:
        text = "what is installed is not what was built"
        yield about.finding("different", text, again)
    kernel = session.kernel(target)
    folder = f"{session.tree.built_folder(package, target)}/module"
    for module in conf.fitting:
        path = dkms_kernel.module_in(folder, module.name, session.ending(target))
        if path:
            yield from _module_findings(session, path, kernel, about, rebuild)
    if session.tree.is_active(package, target):
        yield from _index_findings(kernel, conf, about)


def _module_findings(
    session: DkmsSession, path: str, kernel: KernelTree, about: _About, rebuild: str
) -> Iterator[DkmsFinding]:
    name = os.path.basename(path)
    try:
        image = ModuleImage.open(path)
        release = (image.modinfo.get("vermagic") or "").partition(" ")[0]
        is_signed = image.signature is not None
        versions = image.versions
    except (LkmError, OSError) as error:
        yield about.finding("damaged", f"{name} cannot be read: {error}", rebuild)
        return
    if release and release != kernel.release:
        text = f"{name} was built for {release}: the kernel will refuse it"
        yield about.finding("wrong-kernel", text, rebuild)
    if not is_signed and kernel.option("CONFIG_MODULE_SIG_HASH"):
        enforced = _state(session).enforcement not in (None, Enforcement.NONE)
        text = f"{name} is not signed" + (": this machine refuses it" if enforced else "")
        command = f"lkm dkms sign {about.package} -k {about.kernel}"
        yield about.finding("unsigned", text, command, note=not enforced)
    changed = dkms_headers.changed_symbols(dict(versions), kernel.headers)
    if changed:
        text = f"{name} was built against other headers of this release ({changed[0]} differs)"
        yield about.finding("headers-changed", text, rebuild)


def _index_findings(kernel: KernelTree, conf: DkmsConf, about: _About) -> Iterator[DkmsFinding]:
    """Say which modules modprobe cannot find, though they are installed."""
    try:
        with open(f"{kernel.folder}/modules.dep", encoding="utf-8", errors="replace") as file:
            known = {line.partition(":")[0].rpartition("/")[2].partition(".")[0] for line in file}
    except OSError:
        text = "its kernel has no modules.dep: modprobe finds nothing there"
        yield about.finding("no-index", text, f"depmod {kernel.release}", note=True)
        return
    for module in conf.fitting:
        if module.name not in known:
            text = f"{module.name} is not in modules.dep: modprobe does not find it"
            yield about.finding("not-indexed", text, f"depmod {kernel.release}")


def _leftovers(session: DkmsSession, package: Package) -> Iterator[DkmsFinding]:
    for target in session.tree.targets(package):
        if not os.path.isdir(f"{session.settings.install_tree}/{target.kernel}"):
            yield DkmsFinding(
                "leftover",
                "it is built for a kernel that is no longer here",
                f"dkms unbuild {package} -k {target.kernel}/{target.arch}",
                package=str(package),
                kernel=target.kernel,
                note=True,
            )


def _state(session: DkmsSession) -> TrustState:
    return trust_state.read(trust_state.directory_reader(session.settings.root or "/"))


def _key_findings(session: DkmsSession) -> Iterator[DkmsFinding]:
    """Say whether the machine will take what the key in use signs."""
    settings = session.settings
    target = KernelTarget(os.uname().release, os.uname().machine)
    values = read_signing(settings.root, settings.framework, target)
    default = f"{settings.dkms_tree}/mok.pub"
    place = machine_key(settings.root)
    if place and not os.path.isfile(default):
        default = settings.root + place.certificate
    path = values.get("mok_certificate") or default
    try:
        state = _state(session)
    except (LkmError, OSError) as error:
        yield DkmsFinding("not-looked-at", f"whom this machine trusts is not known: {error}")
        return
    if state.secure_boot is None:
        text = "this machine's firmware does not say whether Secure Boot is on"
        yield DkmsFinding("secure-boot-unknown", text, note=True)
    if not os.path.isfile(path):
        text = f"there is no key to sign with yet ({path})"
        yield DkmsFinding("no-key", text, "dkms generate_mok", note=not state.secure_boot)
        return
    try:
        found = certificate.load(path)
    except (LkmError, OSError) as error:
        yield DkmsFinding("bad-key", f"{path}: {error}", "dkms generate_mok")
        return
    if state.is_enrolled(found):
        return
    command = f"mokutil --import {path}"
    if any(key.certificate.encoded == found.encoded for key in state.pending):
        text = f"the key {path} waits to be enrolled: MokManager asks at the next boot"
        yield DkmsFinding("key-pending", text, "reboot")
    elif state.secure_boot:
        text = f"the key {path} is not enrolled: modules signed with it are refused"
        yield DkmsFinding("key-not-enrolled", text, command)
    else:
        text = f"the key {path} is not enrolled; it matters once Secure Boot is on"
        yield DkmsFinding("key-not-enrolled", text, command, note=True)
