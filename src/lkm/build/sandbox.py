"""Confine a build with Landlock: it writes its own folder only, reads the system, and has no network.

Source: ``Documentation/userspace-api/landlock.rst``, ``include/uapi/linux/landlock.h``.
"""

from __future__ import annotations

import ctypes
import os
import struct

from lkm.errors import UnsupportedError

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


def confine(writable: Sequence[str]) -> Callable[[], None]:
    """Return what a child calls before it becomes the build.

    ``writable`` are the folders it may write; all else but homes it may read. Raises
    ``UnsupportedError`` where this kernel has no Landlock.
    """
    version = _syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < 1:
        raise UnsupportedError(
            "this kernel has no Landlock, which --sandbox needs",
            hint="Linux 5.13 and later have it, if lsm= on the command line does not leave it out",
        )
    folders = [os.path.realpath(folder) for folder in writable]
    readable = [
        f"/{name}"
        for name in sorted(os.listdir("/"))
        if name not in _HIDDEN and not os.path.islink(f"/{name}")
    ]
    return lambda: _restrict(version, readable, folders)


def _restrict(version: int, readable: Sequence[str], writable: Sequence[str]) -> None:
    files = _BASIC | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("=QQ", files, _NETWORK if version >= 4 else 0)
    attributes = attributes if version >= 4 else attributes[:8]
    ruleset = _syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    for path in readable:
        _allow(ruleset, path, _READING)
    for path in writable:
        _allow(ruleset, path, files)
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
