"""Sign what is built and installed already: for a key that came, or changed, after the build."""

from __future__ import annotations

import os

from lkm.build import dkms_kernel
from lkm.build.dkms_moduleversion import same_bytes
from lkm.module import compression as packing
from lkm.operations.dkms import depmod, signing
from lkm.operations.dkms.reporting import DkmsFailure, warn
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lkm.build.dkms_tree import Entry, KernelTarget, Package
    from lkm.operations.dkms.session import DkmsSession
    from lkm.operations.dkms.settings import DkmsSigner


class SignedBuild(Record):
    """A module file that was signed; ``was_signed`` tells of a signature it had before."""

    path: str
    was_signed: bool


def resign(session: DkmsSession, *, again: bool) -> list[SignedBuild]:
    """Sign the modules of what is named, or of all that is built; return those that were.

    ``again`` signs what has a signature, too. Raises ``DkmsFailure`` when nothing is built, or
    nothing can be signed.
    """
    settings = session.settings
    entries = [entry for entry in _entries(session) if entry.target]
    if not entries:
        what = f"{settings.module}/{settings.version}" if settings.module else "in the DKMS tree"
        raise DkmsFailure(3, f"There is nothing built to sign: {what}.")
    signed: list[SignedBuild] = []
    signers: dict[KernelTarget, DkmsSigner | None] = {}
    for entry in entries:
        target = entry.target
        if target is None:
            continue
        if target not in signers:
            signers[target] = signing.prepare(session, target)
        signer = signers[target]
        if signer:
            signed += _sign_entry(session, entry.package, target, signer, again=again)
    if not any(signers.values()):
        raise DkmsFailure(1, "Nothing was signed.", "Refer to the lines above.")
    for target in signers:
        depmod.run(session, target)
    return signed


def _entries(session: DkmsSession) -> Iterator[Entry]:
    settings = session.settings
    for target in settings.targets or (None,):
        kernel, arch = (target.kernel, target.arch) if target else ("", "")
        yield from session.tree.status(settings.module, settings.version, kernel, arch)


def _sign_entry(
    session: DkmsSession, package: Package, target: KernelTarget, signer: DkmsSigner, *, again: bool
) -> Iterator[SignedBuild]:
    conf = session.conf(package, target, f"{session.tree.source(package)}/dkms.conf")
    folder = f"{session.tree.built_folder(package, target)}/module"
    tree = f"{session.settings.install_tree}/{target.kernel}"
    for module in conf.fitting:
        built = dkms_kernel.module_in(folder, module.name)
        if not built:
            warn(session.reporter, f"{folder}/{module.name}.ko has disappeared")
            continue
        places = dict.fromkeys((module.location, module.written_location))
        copies = [dkms_kernel.module_in(f"{tree}{place}", module.name) for place in places]
        copies = [path for path in copies if path and same_bytes(path, built)]
        done = _sign_file(session, signer, built, again=again)
        if done is None:
            continue
        yield done
        for path in copies:
            if session.tree.is_active(package, target) and not os.path.islink(path):
                _replace(built, path)


def _sign_file(
    session: DkmsSession, signer: DkmsSigner, path: str, *, again: bool
) -> SignedBuild | None:
    """Sign a module where it is, packed as it is; ``None`` when it stays as it was."""
    from lkm import files
    from lkm.module import signature

    with open(path, "rb") as file:
        data = file.read()
    plain = packing.decompress(data, path=path)
    was_signed = len(signature.strip(plain, path)) != len(plain)
    if was_signed and not again:
        return None
    folder = os.path.dirname(path)
    working = f"{folder}/.signing.ko"
    files.write_atomic(working, signature.strip(plain, path))
    try:
        session.reporter.say(f"Signing module {path}")
        if not signing.sign(session, signer, working):
            return None
        with open(working, "rb") as file:
            signed = file.read()
    finally:
        os.unlink(working)
    files.write_atomic(path, packing.compress(signed, packing.detect(data)))
    return SignedBuild(path, was_signed)


def _replace(origin: str, target: str) -> None:
    import shutil

    temporary = f"{os.path.dirname(target)}/.{os.path.basename(target)}.new"
    shutil.copyfile(origin, temporary)
    os.replace(temporary, target)
