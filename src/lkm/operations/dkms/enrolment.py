"""Tell on installation, not after the next boot, that this machine will refuse a module."""

from __future__ import annotations

import os

from lkm.errors import LkmError
from lkm.operations.dkms.reporting import warn
from lkm.operations.dkms.settings import read_signing

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.build.dkms_tree import KernelTarget, Package
    from lkm.operations.dkms.session import DkmsSession

_EFI = "/sys/firmware/efi"


def warn_if_refused(session: DkmsSession, package: Package, target: KernelTarget) -> None:
    """Warn where Secure Boot is on and the modules are unsigned, or signed with an unknown key."""
    root = session.settings.root
    if not os.path.isdir(root + _EFI):
        return
    from lkm.signing import certificate, trust_state  # only on machines with EFI

    try:
        state = trust_state.read(trust_state.directory_reader(root or "/"))
        if not state.secure_boot or state.shim_validates is False:
            return
        path = _certificate(session, target)
        if not _is_signed(session, package, target):
            text = f"Secure Boot is on and {package} is not signed: this machine will refuse it."
            warn(session.reporter, text, f"Sign it: lkm dkms sign {package} -k {target.kernel}")
        elif os.path.isfile(path) and not state.is_enrolled(certificate.load(path)):
            text = (
                f"Secure Boot is on and the key {path} is not enrolled: {package} will be refused."
            )
            warn(session.reporter, text, f"Enrol it: mokutil --import {path}")
    except (LkmError, OSError) as error:
        warn(session.reporter, f"Whether this machine will take {package} is not known: {error}")


def _certificate(session: DkmsSession, target: KernelTarget) -> str:
    settings = session.settings
    values = read_signing(settings.root, settings.framework, target)
    return values.get("mok_certificate") or f"{settings.dkms_tree}/mok.pub"


def _is_signed(session: DkmsSession, package: Package, target: KernelTarget) -> bool:
    from lkm.module.image import ModuleImage  # as above

    folder = f"{session.tree.built_folder(package, target)}/module"
    modules = [name for name in os.listdir(folder) if ".ko" in name]
    return all(ModuleImage.open(f"{folder}/{name}").signature is not None for name in modules)
