"""Read all modules of a tree, in several processes where that pays."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator, Sequence

from lkm.tree.depmod_facts import KnownSymbols, TreeFacts
from lkm.tree.depmod_scan import Scanned, scan
from lkm.tree.depmod_workers import Forked, Receive

Progress = Callable[[int, int], None]
"""Called with the number of modules begun and their total."""

_CHUNKS = 64
_MOST = 8
_ENOUGH = 256  # modules; fewer are read here in the time another process takes to start

_Imports = list[tuple[bytes, bool]]


def scan_all(directory: str, paths: Sequence[str], progress: Progress) -> list[Scanned]:
    """Return the facts of all ``paths``, read by this process."""
    found = []
    for begin, chunk in _chunks(paths):
        progress(begin, len(paths))
        found += scan(directory, chunk)
    return found


def gather(directory: str, paths: Sequence[str], workers: int, progress: Progress) -> TreeFacts:
    """Return the facts of all ``paths``, read by at most ``workers`` processes."""
    helpers = min(workers, _MOST, len(paths) // _ENOUGH) - 1
    if helpers < 1:
        return TreeFacts.gathered(paths, scan_all(directory, paths, progress))
    return _Team(directory, paths, progress).gather(helpers)


def _chunks(paths: Sequence[str]) -> list[tuple[int, Sequence[str]]]:
    size = max(-(-len(paths) // _CHUNKS), 1)
    return [(begin, paths[begin : begin + size]) for begin in range(0, len(paths), size)]


class _Team:
    """Several processes that read: who is free takes the next chunk's number out of a pipe.

    First they exchange what the modules export; imports are numbers of exported symbols, so they
    can be told, by each for the modules it has read, only after that.
    """

    def __init__(self, directory: str, paths: Sequence[str], progress: Progress) -> None:
        self._directory = directory
        self._paths = paths
        self._progress = progress
        self._chunks = _chunks(paths)
        self._source, sink = os.pipe()
        os.write(sink, bytes(range(len(self._chunks))))
        os.close(sink)

    def gather(self, helpers: int) -> TreeFacts:
        forked = [Forked(self._help) for _ in range(helpers)]
        own = self._read(self._progress)
        os.close(self._source)
        modules = {number: _public(scanned) for number, scanned in own.items()}
        for helper in forked:
            modules.update(helper.result() or {})
        for number in range(len(self._chunks)):
            if number not in modules:  # whoever took it has died
                own[number] = scan(self._directory, self._chunks[number][1])
                modules[number] = _public(own[number])
        scanned = [module for number in sorted(modules) for module in modules[number]]
        exports = b"".join([facts[3] for facts, _ in scanned])
        known = KnownSymbols(exports.split(b"\0")[:-1])
        for helper in forked:
            helper.send(exports)
        imports = {number: _imports(known, part) for number, part in own.items()}
        for helper in forked:
            imports.update(helper.result() or {})
            helper.finish()
        return self._facts(known, scanned, imports)

    def _help(self, receive: Receive) -> Iterator[dict[int, object]]:
        """Do a helper's part: yields the public facts, then the imports, by chunk."""
        own = self._read(lambda begun, total: None)
        yield {number: _public(scanned) for number, scanned in own.items()}
        known = KnownSymbols(receive().split(b"\0")[:-1])
        yield {number: _imports(known, scanned) for number, scanned in own.items()}

    def _read(self, progress: Progress) -> dict[int, list[Scanned]]:
        found = {}
        while taken := os.read(self._source, 1):
            begin, chunk = self._chunks[taken[0]]
            progress(begin, len(self._paths))
            found[taken[0]] = scan(self._directory, chunk)
        return found

    def _facts(
        self, known: KnownSymbols, scanned: list[Scanned], imports: dict[int, _Imports]
    ) -> TreeFacts:
        for number, (_, chunk) in enumerate(self._chunks):
            if number not in imports:
                imports[number] = _imports(known, scan(self._directory, chunk))
        told = [module for number in sorted(imports) for module in imports[number]]
        facts = TreeFacts(known)
        for path, module, (numbers, exact) in zip(self._paths, scanned, told, strict=True):
            facts.add(path, module, array("I", numbers), exact=exact)
        return facts


def _public(scanned: Sequence[Scanned]) -> list[Scanned]:
    """Return the facts without the imports, which are most of the bytes."""
    return [((*facts[:4], b"", b"", facts[6]), signature) for facts, signature in scanned]


def _imports(known: KnownSymbols, scanned: Sequence[Scanned]) -> _Imports:
    return [(known.imported(facts[4], facts[5]).tobytes(), not facts[4]) for facts, _ in scanned]
