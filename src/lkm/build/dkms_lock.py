"""One command at a time changes a DKMS tree; the next waits for it.

The lock is on the tree's folder itself, so that it leaves no file. A package's script that calls
dkms again runs under the lock of the command that called it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HELD = "LKM_DKMS_LOCKED"
"""Names, in the environment of what is called, the tree that the caller has locked."""


@contextlib.contextmanager
def locked(tree: str, complain: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a tree; where there is none yet, there is nothing to be torn.

    ``complain`` is called with a line to print before waiting for another command.
    """
    try:
        folder = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        found = os.fstat(folder)
        name = f"{found.st_dev}:{found.st_ino}"
        if os.environ.get(HELD) == name:
            yield
            return
        _wait(folder, tree, complain)
        os.environ[HELD] = name
        try:
            yield
        finally:
            os.environ.pop(HELD, None)
    finally:
        os.close(folder)


def _wait(folder: int, tree: str, complain: Callable[[str], None]) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        complain(f"dkms: waiting for another command that changes {tree}")
        fcntl.flock(folder, fcntl.LOCK_EX)
