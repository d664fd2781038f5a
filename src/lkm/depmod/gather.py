"""Read all modules of a tree, in several processes where that pays.

That is with packed modules, which take two processors two thirds of the time one takes: what a
process has read of plain ones costs as much to pass on as it took to read.
"""

from __future__ import annotations

import os

from lkm.depmod.read_ahead import ReadAhead
from lkm.depmod.scan import prepare, scan
from lkm.depmod.workers import Forked

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lkm.depmod.request import Progress
    from lkm.depmod.scan import Keep, Scanned

_CHUNKS = 256  # their numbers are bytes; small ones, for some modules take a hundred times as long
_MOST = 8
ENOUGH = 256  # modules; fewer are dealt with here in the time another process takes to start


def gather(directory: str, paths: Sequence[str], workers: int, progress: Progress) -> list[Scanned]:
    """Return the facts of all ``paths``, read by at most ``workers`` processes."""
    helpers = min(workers, _MOST, len(paths) // ENOUGH) - 1
    if helpers < 1 or paths[0].endswith(".ko"):
        return scan_all(directory, paths, progress)
    prepare(paths)
    team = _Team(directory, paths)
    return team.read(progress, [Forked(team.help) for _ in range(helpers)])


def scan_all(directory: str, paths: Sequence[str], progress: Progress) -> list[Scanned]:
    """Return the facts of all ``paths``, read by this process."""
    found: list[Scanned] = []
    keep: Keep = os.pread
    if len(paths) >= ENOUGH and hasattr(os, "preadv"):
        from lkm.depmod.large_pages import Store  # for many only

        keep = Store().read
    with ReadAhead(directory, paths) as ahead:
        for begin, chunk in _chunks(paths):
            progress(begin, len(paths))
            found += scan(directory, chunk, keep)
            ahead.after(len(found))
    return found


def _chunks(paths: Sequence[str]) -> list[tuple[int, Sequence[str]]]:
    size = max(-(-len(paths) // _CHUNKS), 1)
    return [(begin, paths[begin : begin + size]) for begin in range(0, len(paths), size)]


class _Team:
    """Several processes that read: who is free takes the next chunk's number out of a pipe."""

    def __init__(self, directory: str, paths: Sequence[str]) -> None:
        self._directory = directory
        self._paths = paths
        self._chunks = _chunks(paths)
        self._source, sink = os.pipe()
        os.write(sink, bytes(range(len(self._chunks))))
        os.close(sink)

    def read(self, progress: Progress, helpers: Sequence[Forked]) -> list[Scanned]:
        """Return the facts of all modules, read here and by the ``helpers``."""
        with ReadAhead(self._directory, self._paths) as ahead:
            found = self._read(progress, ahead)
        os.close(self._source)
        for helper in helpers:
            found.update(helper.result() or {})
            helper.finish()
        return [
            module
            for number, (_, chunk) in enumerate(self._chunks)
            # Whoever took a chunk that is missing has died.
            for module in found.get(number) or scan(self._directory, chunk)
        ]

    def help(self) -> dict[int, list[Scanned]]:
        """Return the facts of the modules a helper has read, by chunk."""
        return self._read(lambda begun, total: None)

    def _read(self, progress: Progress, ahead: ReadAhead | None = None) -> dict[int, list[Scanned]]:
        found: dict[int, list[Scanned]] = {}
        while taken := os.read(self._source, 1):
            begin, chunk = self._chunks[taken[0]]
            progress(begin, len(self._paths))
            found[taken[0]] = scan(self._directory, chunk)
            if ahead:
                ahead.after(begin + len(chunk))
        return found
