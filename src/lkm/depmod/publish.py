"""A set of index files written together: first all beside the old ones, then all renamed.

A process killed before the renaming leaves the old set. The renaming itself is done by another
process, in a session of its own, so that a kill of this one does not stop it half way; if that
process is killed, this one finishes its work.
"""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self


class IndexFolder:
    """A directory in which index files are replaced; use it as a context manager.

    Entering waits for another process that is writing the same set. Files given to ``put`` take
    the place of the old ones at ``commit``; without it they are removed again. Nothing is flushed
    to disk, as kmod does not do so either: depmod makes it all again.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._descriptor = -1
        self._owner = 0
        self._written: list[str] = []
        self._expected: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self._owner = os.getpid()
        self._descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if self._locked():
            self._sweep()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in {*self._written, *self._expected}:
            try:
                os.unlink(self._temporary(name), dir_fd=self._descriptor)
            except FileNotFoundError:
                continue
        os.close(self._descriptor)
        self._descriptor = -1

    def _locked(self) -> bool:
        """Wait for the directory's lock; say whether it could be had."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError:
            # Some network file systems have no locks; there the process ids keep the files apart.
            return False
        return True

    def _sweep(self) -> None:
        """Remove what killed processes have left; with the lock held nobody else is writing."""
        for name in os.listdir(self._descriptor):
            if _is_left_over(name):
                try:
                    os.unlink(name, dir_fd=self._descriptor)
                except OSError:
                    continue  # it harms nobody

    def expect(self, *names: str) -> None:
        """Announce files that a forked process may put, to be removed should it come to that."""
        self._expected = names

    def accept(self, names: Sequence[str]) -> None:
        """Let ``commit`` rename the files ``names``, which a forked process has put."""
        self._written += names

    @property
    def written(self) -> tuple[str, ...]:
        """The files put so far."""
        return tuple(self._written)

    def put(self, name: str, data: bytes) -> None:
        """Write ``data`` for the file ``name``, readable by all."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(self._temporary(name), flags, 0o644, dir_fd=self._descriptor)
        self._written.append(name)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)

    def commit(self) -> tuple[str, ...]:
        """Let all files put take their places and return their names.

        Raises ``OSError`` when one cannot take its place.
        """
        names = self.written
        # From here on they are the other process's, whatever happens to this one.
        self._written, self._expected = [], ()
        if not self._rename_apart(names):
            self._written += names
            for name in names:
                try:
                    self._rename(name)
                except FileNotFoundError:
                    continue  # the other process has done this one
            self._written.clear()
        return names

    def _rename_apart(self, names: Sequence[str]) -> bool:
        """Rename the files in a process that a kill of this one's session does not reach."""
        helper = os.fork()
        if not helper:
            status = 1
            try:
                os.setsid()
                for name in names:
                    self._rename(name)
                status = 0
            finally:
                os._exit(status)
        return not os.waitpid(helper, 0)[1]

    def _rename(self, name: str) -> None:
        folder = self._descriptor
        os.rename(self._temporary(name), name, src_dir_fd=folder, dst_dir_fd=folder)

    def _temporary(self, name: str) -> str:
        return f".{name}.{self._owner}.lkm"


def _is_left_over(name: str) -> bool:
    """Say whether this is the name of a file not yet renamed, as ``_temporary`` makes them."""
    stem, _, process = name.removesuffix(".lkm").rpartition(".")
    return name.endswith(".lkm") and stem.startswith(".modules.") and process.isdigit()
