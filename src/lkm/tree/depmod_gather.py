"""Read all modules of a tree, in several processes where that pays."""

from __future__ import annotations

import os

from lkm.tree.depmod_ahead import ReadAhead
from lkm.tree.depmod_facts import TreeFacts, strings_of
from lkm.tree.depmod_scan import prepare, scan
from lkm.tree.depmod_workers import Forked

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from lkm.tree.depmod_facts import Strings
    from lkm.tree.depmod_request import Progress
    from lkm.tree.depmod_scan import Scanned
    from lkm.tree.depmod_workers import Receive

    Meanwhile = Callable[[Strings, Receive], Iterator[Any]]
    """What a process goes on with when it has helped: it yields values and may be sent some."""

_CHUNKS = 256  # their numbers are bytes; small ones, for some modules take a hundred times as long
_MOST = 8
_ENOUGH = 256  # modules; fewer are read here in the time another process takes to start
_PLAIN_SHARE = 8  # a helper reads up to an eighth: to take a module over costs half of reading it


def scan_all(directory: str, paths: Sequence[str], progress: Progress) -> list[Scanned]:
    """Return the facts of all ``paths``, read by this process."""
    found: list[Scanned] = []
    with ReadAhead(directory, paths) as ahead:
        for begin, chunk in _chunks(paths):
            progress(begin, len(paths))
            found += scan(directory, chunk)
            ahead.after(len(found))
    return found


def gather(
    directory: str,
    paths: Sequence[str],
    workers: int,
    progress: Progress,
    meanwhile: Meanwhile,
) -> tuple[TreeFacts, Forked | None]:
    """Return the facts of all ``paths``, read by at most ``workers`` processes.

    One of those that helped goes on with ``meanwhile``, given the strings of all: it is returned
    too, and its next results are what that yields.
    """
    helpers = min(workers, _MOST, len(paths) // _ENOUGH) - 1
    if helpers < 1:
        return TreeFacts.gathered(paths, scan_all(directory, paths, progress)), None
    prepare(paths)
    team = _Team(directory, paths)
    partner = Forked(lambda receive: team.help_and_go_on(receive, meanwhile))
    forked = [partner, *(Forked(lambda _: team.help()) for _ in range(1, helpers))]
    scanned = team.read(progress, forked)
    for helper in forked[1:]:
        helper.finish()
    partner.send(strings_of(scanned))
    return TreeFacts.gathered(paths, scanned), partner


def _chunks(paths: Sequence[str]) -> list[tuple[int, Sequence[str]]]:
    size = max(-(-len(paths) // _CHUNKS), 1)
    return [(begin, paths[begin : begin + size]) for begin in range(0, len(paths), size)]


class _Team:
    """Several processes that read: who is free takes the next chunk's number out of a pipe."""

    def __init__(self, directory: str, paths: Sequence[str]) -> None:
        self._directory = directory
        self._paths = paths
        self._chunks = _chunks(paths)
        self._most = len(self._chunks)
        if paths[0].endswith(".ko"):
            self._most //= _PLAIN_SHARE
        self._source, sink = os.pipe()
        os.write(sink, bytes(range(len(self._chunks))))
        os.close(sink)

    def read(self, progress: Progress, forked: Sequence[Forked]) -> list[Scanned]:
        """Return the facts of all modules, read here and by the ``forked``."""
        with ReadAhead(self._directory, self._paths) as ahead:
            found = self._read(progress, ahead)
        os.close(self._source)
        for helper in forked:
            found.update(helper.result() or {})
        return [
            module
            for number, (_, chunk) in enumerate(self._chunks)
            # Whoever took a chunk that is missing has died.
            for module in found.get(number) or scan(self._directory, chunk)
        ]

    def help(self) -> Iterator[Any]:
        """Yield the facts of the modules a helper has read, by chunk."""
        yield self._read(lambda begun, total: None, most=self._most)

    def help_and_go_on(self, receive: Receive, meanwhile: Meanwhile) -> Iterator[Any]:
        """Help, and then do what is to be done meanwhile."""
        yield from self.help()
        yield from meanwhile(receive(), receive)

    def _read(
        self, progress: Progress, ahead: ReadAhead | None = None, most: int = _CHUNKS
    ) -> dict[int, list[Scanned]]:
        found: dict[int, list[Scanned]] = {}
        while len(found) < most and (taken := os.read(self._source, 1)):
            begin, chunk = self._chunks[taken[0]]
            progress(begin, len(self._paths))
            found[taken[0]] = scan(self._directory, chunk)
            if ahead:
                ahead.after(begin + len(chunk))
        return found
