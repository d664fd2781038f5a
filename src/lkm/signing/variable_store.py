"""The variable store of EFI firmware as a file: a Machine Owner Key put into it, or looked for.

The format (EDK2's authenticated variables in a firmware volume) is read and written by the
virt-firmware package; this is how a virtual machine has a MOK without anybody at MokManager.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from lkm.errors import FormatError, missing_extra
from lkm.signing import efi
from lkm.signing.certificate import Certificate

_LIST = "MokList"


def with_mok(store: bytes, wanted: Certificate) -> bytes:
    """Return the store with ``wanted`` enrolled, as MokManager leaves it in ``MokList``."""
    with tempfile.TemporaryDirectory(prefix="lkm-efi-") as folder:
        opened = _open(store, folder)
        variables = opened.get_varlist()
        path = Path(folder, "mok.pem")
        path.write_bytes(wanted.to_pem())
        variables.add_cert(_LIST, str(efi.SHIM), os.fspath(path))
        return _encode(opened, variables)


def _encode(opened: Any, variables: Any) -> bytes:
    """Return what ``bytes_varstore`` returns, which pads a byte at a time and takes seconds."""
    changed: bytes = opened.filedata[: opened.start] + opened.bytes_varlist(variables)
    return changed.ljust(opened.end, b"\xff") + bytes(opened.filedata[opened.end :])


def mok_list(store: bytes) -> tuple[efi.EfiSignature, ...]:
    """Return the entries of ``MokList`` in the store."""
    with tempfile.TemporaryDirectory(prefix="lkm-efi-") as folder:
        variable = _open(store, folder).get_varlist().get(_LIST)
    return efi.parse_lists(bytes(variable.data), _LIST) if variable else ()


def _open(store: bytes, folder: str) -> Any:
    try:
        from virt.firmware.varstore.edk2 import Edk2VarStore
    except ImportError:
        raise missing_extra("virt-firmware", "secureboot") from None
    path = Path(folder, "store")
    path.write_bytes(store)
    try:
        return Edk2VarStore(os.fspath(path))
    except SystemExit:  # how the package says that it is none
        raise FormatError("an EFI variable store", f"{len(store)} other bytes") from None
