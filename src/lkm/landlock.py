"""Confining a process, and all it starts, to files that it needs: Linux's Landlock.

Sources: ``Documentation/userspace-api/landlock.rst``, ``include/uapi/linux/landlock.h``. It takes
no privilege, cannot be undone, and is inherited; a kernel without it answers ABI 0.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_PR_SET_NO_NEW_PRIVS = 38
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_READING = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
# How many of the file system's access rights each ABI knows; the last is valid from there on.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}


def abi() -> int:
    """Return the version of Landlock that the running kernel has; 0 for none."""
    found = _libc().syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    return max(int(found), 0)


def confine(
    *, read: Iterable[str | os.PathLike[str]], write: Iterable[str | os.PathLike[str]]
) -> int:
    """Let this process read only below ``read``, write only below ``write``, and use no TCP.

    Paths that do not exist are left out. Where the kernel knows how, signals and abstract sockets
    of other processes are out of reach too. Returns the ABI (0: nothing is confined); OSError.
    """
    version = abi()
    if not version:
        return 0
    rights = (1 << _RIGHTS.get(version, 16)) - 1
    network = 0b11 if version >= 4 else 0
    scope = 0b11 if version >= 6 else 0
    # struct landlock_ruleset_attr grew a field with ABI 4 and with ABI 6.
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("<QQQ", rights, network, scope)[:size]
    libc = _libc()
    ruleset = _checked(libc.syscall(_CREATE_RULESET, attributes, size, 0), "landlock")
    try:
        for paths, access in ((read, _READING), (write, rights)):
            for path in paths:
                _allow(libc, ruleset, path, access & rights)
        _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock")
    finally:
        os.close(ruleset)
    return version


def _allow(libc: ctypes.CDLL, ruleset: int, path: str | os.PathLike[str], access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _OF_FILES
        rule = struct.pack("<Qi", access, descriptor)
        _checked(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0), os.fspath(path))
    finally:
        os.close(descriptor)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno() or errno.EIO
        raise OSError(number, os.strerror(number), what)
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
