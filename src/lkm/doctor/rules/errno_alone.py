"""What an error number alone, without a line of the kernel, can be due to."""

from __future__ import annotations

import errno as errno_names
from collections.abc import Callable

from lkm.doctor.causes import format, permission, signature, state, symbols
from lkm.doctor.finding import Finding, Fix, Severity


def could_not_insert(module: str, errno: int) -> Finding:
    """Return the causes that ``errno`` has, as one finding, where the kernel said nothing more."""
    known = _ALONE.get(errno)
    if known is not None:
        return known(module)
    return (
        state.init_returned(module, errno)
        if errno
        else _ambiguous(module, 0, "the tool does not say why")
    )


def _ambiguous(module: str, errno: int, cause: str, name: str = "see-kernel-log") -> Finding:
    return Finding(
        name,
        Severity.FATAL,
        cause,
        errno,
        module=module,
        fixes=(
            Fix(
                "the kernel's log has the line that tells which",
                ("sudo dmesg | tail -20 | lkm doctor --log -", f"lkm doctor {module}".rstrip()),
            ),
        ),
    )


_ALONE: dict[int, Callable[[str], Finding]] = {
    errno_names.ENOEXEC: lambda m: _ambiguous(
        m,
        errno_names.ENOEXEC,
        "the file is no module for this kernel: built for another one (version magic), against "
        "other headers (module_layout), for another processor, damaged, stripped, or it exports "
        "a symbol that is taken",
    ),
    errno_names.ENOENT: lambda m: _ambiguous(
        m,
        errno_names.ENOENT,
        "a symbol it needs is missing: the module that exports it is not loaded (insmod loads no "
        "dependencies), nothing exports it, or it is GPL-only",
    ),
    errno_names.EINVAL: lambda m: _ambiguous(
        m,
        errno_names.EINVAL,
        "a parameter's value is wrong, or a symbol's version or namespace does not fit, or the "
        "file is empty, or its own init refused",
    ),
    errno_names.EKEYREJECTED: signature.refused,
    errno_names.ENOKEY: signature.key_missing,
    errno_names.EBADMSG: lambda m: signature.broken(m, "", "its lengths or its PKCS#7 are wrong"),
    errno_names.ENOPKG: signature.not_pkcs7,
    errno_names.EPERM: permission.not_permitted,
    errno_names.EEXIST: state.already_loaded,
    errno_names.ENOMEM: state.no_memory,
    errno_names.EBUSY: lambda m: state.init_returned(m, errno_names.EBUSY),
    errno_names.ERANGE: lambda m: _ambiguous(
        m, errno_names.ERANGE, "a parameter's number is out of its range", "bad-parameter"
    ),
    errno_names.ENOSPC: lambda m: _ambiguous(
        m, errno_names.ENOSPC, "a parameter's text is longer than 1024 bytes", "bad-parameter"
    ),
    errno_names.ESRCH: lambda m: symbols.wrong_crc(m, "a symbol"),
    errno_names.ENOSYS: lambda _: permission.no_module_support(),
    errno_names.EACCES: permission.denied,
    errno_names.EFBIG: lambda m: format.damaged("", m, "it is larger than a kernel reads"),
}
