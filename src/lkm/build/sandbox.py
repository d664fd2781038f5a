"""Confine a build with Landlock: it writes its own folder only, and has no network.

Source: ``Documentation/userspace-api/landlock.rst``, ``include/uapi/linux/landlock.h``.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

from lkm.errors import UnsupportedError

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_SET_NO_NEW_PRIVILEGES = 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1, 2, 4, 8
_READING = _EXECUTE | _READ_FILE | _READ_FOLDER
_BASIC = (1 << 13) - 1  # ABI 1: read, write, execute, make and remove every kind of file
_REFER, _TRUNCATE = 1 << 13, 1 << 14  # ABI 2, ABI 3
_NETWORK = 0b11  # ABI 4: bind and connect TCP
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random", "/dev/tty")
_HIDDEN = ("home", "root")
"""Folders below / that a build has no business in."""


def wrapped(
    command: Sequence[str], *, writable: Sequence[str], readable: Sequence[str]
) -> list[str]:
    """Return ``command`` such that it is confined.

    ``writable`` are the folders it may write; what it may read is ``readable`` and all else but
    homes. Raises ``UnsupportedError`` where this kernel has no Landlock.
    """
    _abi()
    program = [sys.executable, "-m", __name__]
    return [*program, ":".join(writable), ":".join(readable), *command]


def _abi() -> int:
    version = _syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < 1:
        raise UnsupportedError(
            "this kernel has no Landlock, which --sandbox needs",
            hint="Linux 5.13 and later have it, if lsm= on the command line does not leave it out",
        )
    return version


def restrict(writable: Sequence[str], readable: Sequence[str]) -> None:
    """Confine this process, and all it starts, for good."""
    version = _abi()
    system = [f"/{name}" for name in sorted(os.listdir("/")) if name not in _HIDDEN]
    files = _BASIC | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("=QQ", files, _NETWORK if version >= 4 else 0)
    attributes = attributes if version >= 4 else attributes[:8]
    ruleset = _syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    for path in (*system, *readable, sys.prefix, sys.base_prefix):
        _allow(ruleset, os.path.realpath(path), _READING)
    for path in writable:
        _allow(ruleset, os.path.realpath(path), files)
    for path in _DEVICES:
        _allow(ruleset, path, _READ_FILE | _WRITE_FILE | (_TRUNCATE if version >= 3 else 0))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.unshare(_CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET)
    libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if _syscall(_RESTRICT_SELF, ruleset, 0) < 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no leave
    try:
        if not os.path.isdir(path):
            access &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
        rule = struct.pack("=Qi", access, place)
        _syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(place)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    return result


if __name__ == "__main__":
    restrict(sys.argv[1].split(":"), sys.argv[2].split(":"))
    os.execvp(sys.argv[3], sys.argv[3:])
