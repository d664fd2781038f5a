"""The enforcement of a machine and the keys its firmware and kernel trust, read from its files.

``read`` takes any way of reading files, so that it serves the running machine, any kernel lkm
drives, and a saved copy of the files. Source: ``security/integrity/platform_certs/load_uefi.c``,
``machine_keyring.c``; shim's ``MokVars.txt``; ``Documentation/admin-guide/module-signing.rst``.
"""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lkm.errors import FormatError
from lkm.signing import certificate, efi, procfs_keys
from lkm.signing.certificate import Certificate
from lkm.signing.procfs_keys import KernelKeys
from lkm.signing.verify import Enforcement

ReadFile = Callable[[str], bytes]
"""Returns a whole file; raises ``OSError`` with the target's errno."""

_EFI = "/sys/firmware/efi"
_LOCKDOWN = re.compile(r"\[(\w+)\]")
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.ENODEV, errno.EIO)


@dataclass(frozen=True, slots=True)
class EnrolledKey:
    """A certificate in a firmware variable: which variable, and its facts."""

    variable: str
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Switches:
    """The enforcement switches of a machine; ``None`` where it does not say.

    ``secure_boot`` and ``setup_mode`` are the firmware's, ``shim_validates`` shim's own switch
    (``mokutil --disable-validation``), ``sig_enforce``, ``lockdown`` (``none``, ``integrity``,
    ``confidentiality``) and ``modules_disabled`` the kernel's; ``trusted_for_modules`` is whether
    it may put MOKs into ``.machine`` (``MokListTrustedRT``).
    """

    efi: bool
    secure_boot: bool | None
    setup_mode: bool | None
    shim_validates: bool | None
    trusted_for_modules: bool | None
    sig_enforce: bool | None
    lockdown: str | None
    modules_disabled: bool | None


@dataclass(frozen=True, slots=True)
class TrustState(Switches):
    """The enforcement of a machine, and the keys it trusts.

    ``enrolled`` are the certificates of ``MokListRT``, ``pending`` and ``pending_deletion`` those
    MokManager will ask about at the next boot, ``firmware_keys`` those of ``db``.
    """

    enrolled: tuple[EnrolledKey, ...]
    firmware_keys: tuple[EnrolledKey, ...]
    pending: tuple[EnrolledKey, ...]
    pending_deletion: tuple[EnrolledKey, ...]
    kernel_keys: KernelKeys

    @property
    def enforcement(self) -> Enforcement | None:
        """How this kernel treats modules without a signature it trusts, ``None``: not known."""
        if self.sig_enforce is None and self.lockdown is None:
            return None
        if self.sig_enforce:
            return Enforcement.SIGNATURES
        if self.lockdown in {"integrity", "confidentiality"}:
            return Enforcement.LOCKDOWN
        return Enforcement.NONE

    def is_enrolled(self, wanted: Certificate) -> bool:
        """Whether ``wanted`` is in ``MokListRT``."""
        return any(key.certificate.encoded == wanted.encoded for key in self.enrolled)


def read(read_file: ReadFile) -> TrustState:
    """Return the state of the machine whose files ``read_file`` returns."""
    reader = _Reader(read_file)
    secure_boot = reader.flag("SecureBoot", efi.GLOBAL)
    ignores = reader.flag("MokSBStateRT", efi.SHIM)
    return TrustState(
        efi=secure_boot is not None or reader.text(f"{_EFI}/fw_platform_size") is not None,
        secure_boot=secure_boot,
        setup_mode=reader.flag("SetupMode", efi.GLOBAL),
        shim_validates=None if secure_boot is None else not ignores,
        trusted_for_modules=reader.flag("MokListTrustedRT", efi.SHIM),
        sig_enforce=reader.switch("/sys/module/module/parameters/sig_enforce"),
        lockdown=reader.lockdown(),
        modules_disabled=reader.switch("/proc/sys/kernel/modules_disabled"),
        enrolled=reader.certificates("MokListRT", efi.SHIM),
        firmware_keys=reader.certificates("db", efi.IMAGE_SECURITY),
        pending=reader.certificates("MokNew", efi.SHIM),
        pending_deletion=reader.certificates("MokDel", efi.SHIM),
        kernel_keys=procfs_keys.parse(reader.text("/proc/keys") or ""),
    )


def directory_reader(root: str | os.PathLike[str]) -> ReadFile:
    """Return a reader of the files below ``root``: ``/``, or a saved copy."""
    base = Path(root)
    return lambda path: (base / path.lstrip("/")).read_bytes()


class _Reader:
    def __init__(self, read_file: ReadFile) -> None:
        self._read_file = read_file

    def content(self, path: str) -> bytes | None:
        try:
            return self._read_file(path)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise

    def text(self, path: str) -> str | None:
        content = self.content(path)
        return None if content is None else content.decode("utf-8", "replace").strip()

    def switch(self, path: str) -> bool | None:
        """Return a kernel file that says Y or N, 1 or 0."""
        text = self.text(path)
        return None if text is None else text in {"Y", "1"}

    def lockdown(self) -> str | None:
        match = _LOCKDOWN.search(self.text("/sys/kernel/security/lockdown") or "")
        return match[1] if match else None

    def variable(self, name: str, vendor: uuid.UUID) -> bytes | None:
        """Return a variable's value: the untruncated table first, then efivarfs."""
        raw = self.content(f"{_EFI}/mok-variables/{name}")
        if raw is not None:
            return raw
        path = f"{_EFI}/efivars/{efi.variable_name(name, vendor)}"
        content = self.content(path)
        return None if content is None else efi.variable_value(content, path)

    def flag(self, name: str, vendor: uuid.UUID) -> bool | None:
        value = self.variable(name, vendor)
        return None if value is None else value[:1] == b"\1"

    def certificates(self, name: str, vendor: uuid.UUID) -> tuple[EnrolledKey, ...]:
        """Return the certificates of a signature list; ones the kernel could not read either
        are left out.
        """
        found = []
        for entry in efi.parse_lists(self.variable(name, vendor) or b"", name):
            if not entry.is_certificate:
                continue
            try:
                found.append(EnrolledKey(name, certificate.parse(entry.data, name)))
            except FormatError:
                continue
        return tuple(found)
