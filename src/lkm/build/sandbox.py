"""Run a build confined: it reads no home, writes its own folder only, and has no network.

``python -m lkm.build.sandbox WRITABLE READABLE COMMAND…``, folders separated by colons; see
``lkm.landlock`` for what confines.
"""

from __future__ import annotations

import ctypes
import os
import sys

from lkm import landlock
from lkm.errors import UnsupportedError

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")
_HIDDEN = ("home", "root")
"""Folders below / that a build has no business in."""


def wrapped(
    command: Sequence[str], *, writable: Sequence[str], readable: Sequence[str]
) -> list[str]:
    """Return ``command`` such that it is confined.

    ``writable`` are the folders it may write; what it may read is ``readable`` and all else but
    homes. Raises ``UnsupportedError`` where this kernel has no Landlock.
    """
    if not landlock.abi():
        raise UnsupportedError(
            "this kernel has no Landlock, which --sandbox needs",
            hint="Linux 5.13 and later have it, if lsm= on the command line does not leave it out",
        )
    program = [sys.executable, "-m", __name__]
    return [*program, ":".join(writable), ":".join(readable), *command]


def restrict(writable: Sequence[str], readable: Sequence[str]) -> None:
    """Confine this process, and all it starts, for good."""
    system = [f"/{name}" for name in sorted(os.listdir("/")) if name not in _HIDDEN]
    read = (*system, *readable, sys.prefix, sys.base_prefix)
    # Without a network of its own Landlock would leave all but TCP; where that may not be had,
    # TCP is what is cut off.
    own_network = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET
    ctypes.CDLL(None).unshare(own_network)
    landlock.confine(
        read=[os.path.realpath(path) for path in read if path],
        write=[os.path.realpath(path) for path in (*writable, *_DEVICES)],
    )


if __name__ == "__main__":
    restrict(sys.argv[1].split(":"), sys.argv[2].split(":"))
    os.execvp(sys.argv[3], sys.argv[3:])
