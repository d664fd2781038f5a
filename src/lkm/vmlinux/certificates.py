"""The certificates built into a kernel, which its modules are signed with.

Source: ``certs/system_certificates.S``: DER certificates one after the other between
``system_certificate_list`` and as many bytes as ``system_certificate_list_size`` says.
"""

from __future__ import annotations

import struct

from lkm.errors import FormatError
from lkm.vmlinux.executable import Executable
from lkm.vmlinux.symbols import Symbols

_LIST = "system_certificate_list"
_SIZE = "system_certificate_list_size"
_LIMIT = 16 << 20


def read(kernel: Executable, symbols: Symbols) -> bytes:
    """Return the list, empty for a kernel that is built without one."""
    if _LIST not in symbols or _SIZE not in symbols:
        return b""
    form = kernel.byte_order + ("Q" if kernel.pointer_size == 8 else "I")
    (size,) = struct.unpack(form, kernel.read(symbols[_SIZE], kernel.pointer_size))
    if size > _LIMIT:
        raise FormatError(f"at most {_LIMIT} bytes of certificates", f"{size}", path=kernel.path)
    return kernel.read(symbols[_LIST], size)
