"""What the directories of a tree hold, kept so that only those that have changed are listed again.

To list a directory costs five times as much as to see that it is what it was. A directory's change
time tells, which unlike the modification time nobody can set back; but not that of a moment ago,
for two changes can happen within one tick of the clock.
"""

from __future__ import annotations

import os
import time

from lkm.tree.depmod_signature import signature_in

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lkm.tree.depmod_signature import Signature

    Listing = tuple[int, int, str]
    """Of a directory its change time in nanoseconds, its inode, and the names of the modules and
    the directories in it, in its own order: each ended by a NUL, the directories' by ``/`` first.
    """

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_SETTLED = 2_000_000_000  # ns: no file system's clock ticks more slowly


class Listings:
    """The listings of a tree's directories, of an earlier walk and of this one; by path.

    And the signatures of the modules in those not listed anew, by path: to see to a file from its
    directory is quicker than from above.
    """

    def __init__(self, known: dict[str, Listing]) -> None:
        self.known = known
        self.now: dict[str, Listing] = {}
        self.signatures: dict[str, Signature] = {}
        self._settled = time.time_ns() - _SETTLED
        self._seen: dict[str, tuple[int, int]] = {}

    def names(self, path: str) -> Sequence[str] | None:
        """Return the names in the directory ``path`` if it is what it was."""
        try:
            folder = os.open(path, _FOLDER)
        except OSError:
            return None  # whoever lists it will say so
        try:
            status = os.fstat(folder)
            seen = status.st_ctime_ns, status.st_ino
            old = self.known.get(path)
            if not old or old[:2] != seen:
                self._seen[path] = seen
                return None
            self.now[path] = old
            names = old[2].split("\0")[:-1]
            for name in names:
                if name[-1] != "/":
                    self.signatures[f"{path}/{name}"] = signature_in(folder, name)
            return names
        finally:
            os.close(folder)

    def keep(self, path: str, names: Sequence[str]) -> None:
        """Keep the ``names`` found in ``path`` since it was asked for, if none can be missing."""
        seen = self._seen.get(path)
        if seen and seen[0] < self._settled:
            self.now[path] = (*seen, "".join([f"{name}\0" for name in names]))
