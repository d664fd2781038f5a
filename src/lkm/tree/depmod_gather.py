"""Read all modules of a tree, in several processes where that pays."""

from __future__ import annotations

import os

from lkm.tree.depmod_ahead import ReadAhead
from lkm.tree.depmod_facts import KnownSymbols, TreeFacts
from lkm.tree.depmod_scan import prepare, scan
from lkm.tree.depmod_workers import Forked

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from typing import Any

    from lkm.tree.depmod_request import Progress
    from lkm.tree.depmod_scan import Scanned
    from lkm.tree.depmod_workers import Receive

    Meanwhile = Callable[[TreeFacts, Receive], Iterator[Any]]
    """What a process goes on with when it has helped: it yields values and may be sent some."""

    _Imports = list[tuple[list[int], bool]]

_CHUNKS = 256  # their numbers are bytes; small ones, for some modules take a hundred times as long
_MOST = 8
_ENOUGH = 256  # modules; fewer are read here in the time another process takes to start


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

    One of those that helped goes on with ``meanwhile``, given the facts, among which imports are
    missing: it is returned too, and its next results are what that yields.
    """
    helpers = min(workers, _MOST, len(paths) // _ENOUGH) - 1
    if helpers < 1:
        return TreeFacts.gathered(paths, scan_all(directory, paths, progress)), None
    prepare(paths)
    return _Team(directory, paths, progress, meanwhile).gather(helpers)


def _chunks(paths: Sequence[str]) -> list[tuple[int, Sequence[str]]]:
    size = max(-(-len(paths) // _CHUNKS), 1)
    return [(begin, paths[begin : begin + size]) for begin in range(0, len(paths), size)]


class _Team:
    """Several processes that read: who is free takes the next chunk's number out of a pipe.

    First they exchange all but the imports. Those are numbers of symbols the modules export, so
    they can be told, by each for the modules it has read, only after that.
    """

    def __init__(
        self,
        directory: str,
        paths: Sequence[str],
        progress: Progress,
        meanwhile: Meanwhile,
    ) -> None:
        self._directory = directory
        self._paths = paths
        self._progress = progress
        self._meanwhile = meanwhile
        self._chunks = _chunks(paths)
        self._source, sink = os.pipe()
        os.write(sink, bytes(range(len(self._chunks))))
        os.close(sink)

    def gather(self, helpers: int) -> tuple[TreeFacts, Forked]:
        forked = [Forked(self._partner), *(Forked(self._help) for _ in range(1, helpers))]
        with ReadAhead(self._directory, self._paths) as ahead:
            own = self._read(self._progress, ahead)
        os.close(self._source)
        modules = {number: _public(scanned) for number, scanned in own.items()}
        theirs = [helper.result() or {} for helper in forked]
        for found in theirs:
            modules.update(found)
        for number, (_, chunk) in enumerate(self._chunks):
            if number not in modules:  # whoever took it has died
                own[number] = scan(self._directory, chunk)
                modules[number] = _public(own[number])
        for helper, found in zip(forked, theirs, strict=True):
            helper.send({n: modules[n] for n in modules if n not in found})
        facts = self._without_imports(modules)
        imports = {number: _imports(facts.known, part) for number, part in own.items()}
        for helper in forked:
            imports.update(helper.result() or {})
        for helper in forked[1:]:
            helper.finish()
        self._add_imports(facts, imports)
        return facts, forked[0]

    def _partner(self, receive: Receive) -> Iterator[Any]:
        """Do a helper's part, then go on."""
        facts = yield from self._help(receive)
        yield from self._meanwhile(facts, receive)

    def _help(self, receive: Receive) -> Generator[Any, None, TreeFacts]:
        """Do a helper's part: yields the facts, then the imports, by chunk."""
        own = self._read(lambda begun, total: None)
        public = {number: _public(scanned) for number, scanned in own.items()}
        yield public
        facts = self._without_imports(public | receive())
        yield {number: _imports(facts.known, scanned) for number, scanned in own.items()}
        return facts

    def _read(self, progress: Progress, ahead: ReadAhead | None = None) -> dict[int, list[Scanned]]:
        found = {}
        while taken := os.read(self._source, 1):
            begin, chunk = self._chunks[taken[0]]
            progress(begin, len(self._paths))
            found[taken[0]] = scan(self._directory, chunk)
            if ahead:
                ahead.after(begin + len(chunk))
        return found

    def _without_imports(self, modules: dict[int, list[Scanned]]) -> TreeFacts:
        scanned = [module for number in range(len(modules)) for module in modules[number]]
        return TreeFacts.without_imports(self._paths, scanned)

    def _add_imports(self, facts: TreeFacts, imports: dict[int, _Imports]) -> None:
        for number, (_, chunk) in enumerate(self._chunks):
            if number not in imports:
                imports[number] = _imports(facts.known, scan(self._directory, chunk))
        told = [module for number in range(len(imports)) for module in imports[number]]
        facts.imports = [numbers for numbers, _ in told]
        facts.exact = bytearray([exact for _, exact in told])


def _public(scanned: Sequence[Scanned]) -> list[Scanned]:
    """Return the facts without the imports, which are most of the bytes."""
    return [((*facts[:4], b"", b"", facts[6]), signature) for facts, signature in scanned]


def _imports(known: KnownSymbols, scanned: Sequence[Scanned]) -> _Imports:
    return [(known.imported(facts[4], facts[5]), not facts[4]) for facts, _ in scanned]
