"""The entries of a tree's directories, kept so that only changed directories are listed again.

To list a directory costs five times as much as to see that it is what it was. A directory's change
time tells, which unlike the modification time nobody can set back; but not that of a moment ago,
for two changes can happen within one tick of the clock. Without the listings, to see that nothing
has changed takes 1.3 times as long; without the process that looks at half of them, 1.15 times.
"""

from __future__ import annotations

import os
import time

from lkm.depmod.signature import signature_in
from lkm.depmod.workers import Forked

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lkm.depmod.signature import Signature

    Listing = tuple[int, int, str]
    """Of a directory its change time in nanoseconds, its inode, and the names of the modules and
    the directories in it, in its own order: each ended by a NUL, the directories' by ``/`` first.
    """

    _Seen = tuple[int, int, list[Signature] | None]
    """Of a directory its change time, its inode and, if it is what it was, its modules' signatures.
    """

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_ENOUGH = 128  # directories; fewer are seen to in the time another process takes to start
_SETTLED = 2_000_000_000  # ns: no file system's clock ticks more slowly


class Listings:
    """The listings of a tree's directories, of an earlier walk and of this one; by path.

    And the signatures of the modules in those not listed anew, by path: to see to a file from its
    directory is quicker than from above.
    """

    def __init__(self, known: dict[str, Listing]) -> None:
        self.known = known
        self._now: dict[str, Listing | None] = {}
        self.signatures: dict[str, Signature] = {}
        self._settled = time.time_ns() - _SETTLED
        self._seen: dict[str, _Seen | None] = {}
        self._helper: Forked | None = None

    def share(self) -> None:
        """Let another process see to the second half of the directories, if they are many."""
        paths = list(self.known)[len(self.known) // 2 :]
        if len(paths) >= _ENOUGH:
            self._seen = dict.fromkeys(paths)
            self._helper = Forked(lambda: {path: self._see(path) for path in paths})

    def unshare(self) -> None:
        """Take what the other process has seen, if there is one."""
        if self._helper:
            self._seen |= self._helper.result() or {}
            self._helper.finish()
            self._helper = None

    def names(self, path: str) -> Sequence[str] | None:
        """Return the names in the directory ``path`` if it is what it was."""
        if path in self._seen:
            self.unshare()
        seen = self._seen[path] = self._seen.get(path) or self._see(path)
        self._now[path] = None  # has its place among those asked for, even if kept only later
        if not seen or seen[2] is None:
            return None
        old = self._now[path] = self.known[path]
        names = old[2].split("\0")[:-1]
        for name, signature in zip(_modules(names), seen[2], strict=True):
            self.signatures[f"{path}/{name}"] = signature
        return names

    def _see(self, path: str) -> _Seen | None:
        old = self.known.get(path)
        try:
            if not old:
                status = os.stat(path)
                return status.st_ctime_ns, status.st_ino, None
            folder = os.open(path, _FOLDER)
        except OSError:
            return None  # whoever lists it will say so
        try:
            status = os.fstat(folder)
            seen = status.st_ctime_ns, status.st_ino
            if old[:2] != seen:
                return *seen, None
            modules = _modules(old[2].split("\0")[:-1])
            return *seen, [signature_in(folder, name) for name in modules]
        finally:
            os.close(folder)

    def keep(self, path: str, names: Sequence[str]) -> None:
        """Keep the ``names`` found in ``path`` since it was asked for, if none can be missing."""
        seen = self._seen.get(path)
        if seen and seen[0] < self._settled:
            self._now[path] = (*seen[:2], "".join([f"{name}\0" for name in names]))

    def now(self) -> dict[str, Listing]:
        """Return what is kept of this walk, in the order in which it was asked for."""
        return {path: listing for path, listing in self._now.items() if listing}


def _modules(names: Sequence[str]) -> list[str]:
    return [name for name in names if name[-1] != "/"]
