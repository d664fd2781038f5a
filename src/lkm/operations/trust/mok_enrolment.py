"""Ask for a MOK inside a virtual machine, with the host's mokutil and the guest's efivarfs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lkm.errors import NotFoundError
from lkm.kernel.kernel import Kernel
from lkm.kernel.vm import guest
from lkm.operations.trust import mok
from lkm.signing import efi, mokmanager
from lkm.signing.certificate import Certificate
from lkm.signing.mokmanager import MokScreen

_EFIVARS = "/sys/firmware/efi/efivars"
_PASSWORD = "rehearsal"
_STATE = ("SecureBoot-", "SetupMode-", "MokList")


def ask(machine: Kernel, modules: Path | None, wanted: Certificate) -> tuple[MokScreen, ...]:
    """Leave the request for MokManager in the machine's variables; return the screens to come.

    mokutil works on a copy of the guest's variables, and what it writes is written there.
    """
    _mount_variables(machine, modules)
    with tempfile.TemporaryDirectory(prefix="lkm-mok-") as folder:
        copied = Path(folder, _EFIVARS.lstrip("/"))
        copied.mkdir(parents=True)
        before = set(machine.list_directory(_EFIVARS))
        for name in before:
            if name.startswith(_STATE):
                (copied / name).write_bytes(machine.read_file(f"{_EFIVARS}/{name}"))
        path = Path(folder, "mok.der")
        path.write_bytes(wanted.encoded)
        mok.enroll(path, _PASSWORD, root=folder)
        for variable in ("MokNew", "MokAuth"):
            name = efi.variable_name(variable, efi.SHIM)
            content = (copied / name).read_bytes()
            machine.write_file(f"{_EFIVARS}/{name}", content, create=True)
    return mokmanager.enrolment(_PASSWORD)


def _mount_variables(machine: Kernel, modules: Path | None) -> None:
    """Mount efivarfs, whose module a distribution need not have built in."""
    for path in guest.module_closure(modules, ["efivarfs"]) if modules else []:
        machine.load(path)
    try:
        machine.mount("efivarfs", _EFIVARS, "efivarfs")
    except OSError as error:
        raise NotFoundError(f"the kernel has no efivarfs: {error}") from None
