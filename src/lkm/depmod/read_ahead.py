"""Modules that are not in memory yet: have the kernel fetch them while others are being read.

One after the other, each waits for the disk several times; the disk, too, is quicker with more
than one request to order. With nothing in memory, depmod takes 1.6 times as long without this
(``bench/depmod_tricks.py``, which the other files' figures are from, too).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from typing import Self

_END = 64 << 10  # of a large file that is not packed only the ends are read


class ReadAhead:
    """Watches the first modules being read, and fetches the others if those came from the disk.

    A context manager: what has not been fetched at its end need not be any more.
    """

    def __init__(self, directory: str, paths: Sequence[str]) -> None:
        self._directory = directory
        self._paths = paths
        self._decided = not hasattr(os, "posix_fadvise")
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._before = _bytes_from_disk()
        return self

    def after(self, done: int) -> None:
        """Decide, after the modules before number ``done`` were read; later calls do nothing."""
        if self._decided:
            return
        self._decided = True
        if _bytes_from_disk() > self._before:
            import threading  # which few runs need

            self._thread = threading.Thread(target=self._fetch, args=(done,))
            self._thread.start()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._paths = ()
        if self._thread:
            self._thread.join()

    def _fetch(self, begin: int) -> None:
        folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for place in range(begin, len(self._paths)):
            try:
                path = self._paths[place]
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
            except IndexError:
                break  # it is over
            except OSError:
                continue  # whoever reads it will say so
            try:
                size = os.fstat(descriptor).st_size
                if size <= 2 * _END or not path.endswith(".ko"):
                    os.posix_fadvise(descriptor, 0, size, os.POSIX_FADV_WILLNEED)
                else:
                    os.posix_fadvise(descriptor, 0, _END, os.POSIX_FADV_WILLNEED)
                    os.posix_fadvise(descriptor, size - _END, _END, os.POSIX_FADV_WILLNEED)
            except OSError:
                continue  # a file system without read-ahead
            finally:
                os.close(descriptor)
        os.close(folder)


def _bytes_from_disk() -> int:
    """Return how many bytes this process has read from disks; 0 where the kernel does not say.

    Source: the kernel's ``fs/proc/base.c: do_io_accounting``.
    """
    try:
        with open("/proc/self/io", "rb", buffering=0) as file:
            return int(file.read().partition(b"read_bytes: ")[2].split()[0])
    except (OSError, IndexError):
        return 0
