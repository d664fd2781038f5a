"""One command of dkms's, from its settings to its exit status.

Source: the end of the dkms script, "Program Starts Here".
"""

from __future__ import annotations

import os

from lkm.build.dkms_lock import locked
from lkm.build.dkms_tree import KernelTarget
from lkm.build.dkms_version import natural_key
from lkm.operations.dkms import add, build, depmod, signing, steps, uninstall
from lkm.operations.dkms.dependents import install_unless_installed
from lkm.operations.dkms.reporting import DkmsFailure, tell
from lkm.operations.dkms.session import DkmsSession
from lkm.operations.dkms.settings import read_post_transaction, read_signing
from lkm.operations.dkms.source import require_names, require_writable
from lkm.operations.dkms.transaction import recover

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from lkm.build.dkms_tree import Package
    from lkm.operations.dkms.reporting import Reporter
    from lkm.operations.dkms.settings import DkmsSettings

    Verb = Callable[[DkmsSession], int]

KERNEL_HOOKS = ("kernel_preinst", "kernel_postinst", "kernel_prerm")
_ONE_KERNEL = ("autoinstall", "match", *KERNEL_HOOKS)


def run(verb: str, settings: DkmsSettings, reporter: Reporter) -> int:
    """Run one verb; return dkms's exit status. What is wrong is reported."""
    session = DkmsSession(settings, reporter)
    try:
        _check_counts(verb, settings)
        if verb == "status":
            return _status(session)
        session.settings = settings = _with_targets(session, verb)
        with locked(settings.dkms_tree, reporter.complain):
            _recover(session)
            return _VERBS[verb](session)
    except DkmsFailure as failure:
        tell(reporter, failure)
        return failure.status


def _check_counts(verb: str, settings: DkmsSettings) -> None:
    """Refuse what a verb does not take (source: ``have_one_kernel`` and "Sanity checking")."""
    if settings.all and verb in ("add", "build", "install", *_ONE_KERNEL):
        raise DkmsFailure(5, f"The action {verb} does not support the --all parameter.")
    require_names(settings.module, settings.version)
    for target in settings.targets:
        require_names(target.kernel, target.arch)
    count = len(settings.targets)
    if verb in KERNEL_HOOKS and count != 1:
        raise DkmsFailure(
            4,
            f"The action {verb} requires exactly one kernel version parameter on the command line.",
        )
    if verb in _ONE_KERNEL and count > 1:
        raise DkmsFailure(
            4,
            f"The action {verb} does not support multiple kernel version parameters"
            " on the command line.",
        )


def _with_targets(session: DkmsSession, verb: str) -> DkmsSettings:
    """Fill in the kernels: those built for with ``--all``, else the running one."""
    settings = session.settings
    if settings.all and verb != "status":
        package = add.package_named(session, verb)
        entries = [
            (session.tree.is_active(package, target), target)
            for target in session.tree.targets(package)
        ]
        entries.sort(
            key=lambda entry: natural_key(
                f"{'installed' if entry[0] else 'built'} {entry[1].kernel}/{entry[1].arch}"
            )
        )
        return settings.replaced(targets=tuple(target for _, target in entries))
    for index, target in enumerate(settings.targets):
        if not target.kernel:
            raise DkmsFailure(16, f"Empty kernelver[{index}]")
        if not target.arch:
            raise DkmsFailure(16, f"Empty arch[{index}]")
    if settings.targets:
        return settings
    return settings.replaced(targets=(KernelTarget(os.uname().release, os.uname().machine),))


def _recover(session: DkmsSession) -> None:
    for kernel in recover(session.tree):
        target = KernelTarget(kernel, os.uname().machine)
        session.reporter.complain(
            f"Warning: An installation for kernel {kernel} was cut short and has been taken back."
        )
        depmod.run(session, target)


def _status(session: DkmsSession) -> int:
    from lkm.operations.dkms.status import report_broken, status

    for line in status(session):
        session.reporter.say(line.text)
        report_broken(session, line)
    return 0


def _add(session: DkmsSession) -> int:
    add.require_writable_tree(session)
    add.add(session)
    return 0


def _named(session: DkmsSession) -> Package | None:
    from lkm.build.dkms_tree import Package

    settings = session.settings
    if not settings.module or not settings.version:
        return None
    package = Package(settings.module, settings.version)
    add.refuse_broken(session, package)
    return package


def _build(session: DkmsSession) -> int:
    package = _named(session)
    add.require_writable_tree(session)
    return _for_each_target(
        session, lambda target: build.build_unless_built(session, package, target)
    )


def _install(session: DkmsSession) -> int:
    package = _named(session)
    require_writable(session.settings.install_tree)
    os.makedirs(session.settings.dkms_tree, exist_ok=True)

    def install(target: KernelTarget) -> None:
        install_unless_installed(session, package, target)

    status = _for_each_target(session, install)
    return status or _post_transaction(session)


def _for_each_target(session: DkmsSession, work: Callable[[KernelTarget], object]) -> int:
    """Do something for each kernel, whatever becomes of the others; return the first failure."""
    status = 0
    for target in session.settings.targets:
        try:
            with session.subshell():
                work(target)
        except DkmsFailure as failure:
            tell(session.reporter, failure)
            status = status or failure.status
    return status


def _uninstall(session: DkmsSession) -> int:
    package = _present(session, "uninstall")
    require_writable(session.settings.install_tree)
    for index, target in enumerate(session.settings.targets):
        if index:
            session.reporter.say("")
        uninstall.uninstall_if_installed(session, package, target)
    return _post_transaction(session)


def _unbuild(session: DkmsSession) -> int:
    package = _present(session, "unbuild")
    add.require_writable_tree(session)
    for index, target in enumerate(session.settings.targets):
        if index:
            session.reporter.say("")
        uninstall.unbuild(session, package, target)
    return _post_transaction(session)


def _remove(session: DkmsSession) -> int:
    package = _present(session, "remove")
    add.require_writable_tree(session)
    uninstall.remove(session, package)
    return _post_transaction(session)


def _present(session: DkmsSession, verb: str) -> Package:
    package = add.package_named(session, verb)
    add.refuse_broken(session, package)
    add.require_added(session, package)
    return package


def _autoinstall(session: DkmsSession) -> int:
    from lkm.operations.dkms.autoinstall import autoinstall

    require_writable(session.settings.install_tree)
    changed = autoinstall(session, session.settings.targets[0])
    return _post_transaction(session) if changed else 0


def _kernel_hook(verb: str) -> Verb:
    def run_hook(session: DkmsSession) -> int:
        from lkm.operations.dkms import kernel_hooks

        require_writable(session.settings.install_tree)
        target = session.settings.targets[0]
        if verb == "kernel_preinst":
            kernel_hooks.kernel_preinst(session, target)
        else:
            kernel_hooks.kernel_prerm(session, target)
        return 0

    return run_hook


def _match(session: DkmsSession) -> int:
    from lkm.operations.dkms.matching import match

    require_writable(session.settings.install_tree)
    return match(session, session.settings.targets[0])


def _mktarball(session: DkmsSession) -> int:
    from lkm.operations.dkms.tarball import make_tarball

    make_tarball(session, _present(session, "mktarball"))
    return 0


def _ldtarball(session: DkmsSession) -> int:
    from lkm.operations.dkms.tarball import load_tarball

    if os.geteuid() != 0 and session.force:
        raise DkmsFailure(1, "You must be root to use this command with the --force option.")
    package, has_source = load_tarball(session)
    if not has_source:
        return 1
    add.add_package(session, package)
    return 0


def _generate_mok(session: DkmsSession) -> int:
    settings = session.settings
    target = settings.targets[0]
    values = read_signing(settings.root, settings.framework, target)
    return 0 if signing.prepare_key(session, values, None) else 1


def _post_transaction(session: DkmsSession) -> int:
    """Run what framework.conf wants to be run at the end, into its log."""
    settings = session.settings
    target = settings.targets[0] if settings.targets else KernelTarget(os.uname().release, "")
    command = read_post_transaction(settings.root, settings.framework, target)
    if not command:
        return 0
    log = f"{settings.dkms_tree}/post_transaction.log"
    with open(log, "w", encoding="utf-8"):
        pass  # emptied
    return steps.shell(
        session,
        command,
        "Executing post-transaction command",
        log=log,
        cwd=os.getcwd(),
        env=steps.build_environment(session, {}),
        variables={"kernelver": target.kernel, "arch": target.arch},
    )


_VERBS: dict[str, Verb] = {
    "add": _add,
    "build": _build,
    "install": _install,
    "unbuild": _unbuild,
    "uninstall": _uninstall,
    "remove": _remove,
    "autoinstall": _autoinstall,
    "match": _match,
    "mktarball": _mktarball,
    "ldtarball": _ldtarball,
    "generate_mok": _generate_mok,
    "kernel_preinst": _kernel_hook("kernel_preinst"),
    "kernel_postinst": _autoinstall,
    "kernel_prerm": _kernel_hook("kernel_prerm"),
}
VERBS = ("status", *_VERBS)
