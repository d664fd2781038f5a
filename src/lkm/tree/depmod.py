"""depmod: from the modules of a kernel to its index files, reading only what has changed.

The files are those of kmod 30's ``depmod -a``, byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from lkm.tree.depmod_build import PARTS, Build
from lkm.tree.depmod_cache import (
    Cache,
    State,
    file_signature,
    pack_signatures,
    stat_all,
    unpack_signatures,
)
from lkm.tree.depmod_facts import TreeFacts
from lkm.tree.depmod_gather import Progress, gather, scan_all
from lkm.tree.depmod_order import CycleError
from lkm.tree.depmod_rules import Report, Rules, load_rules
from lkm.tree.depmod_scan import Scanned, Signature
from lkm.tree.depmod_walk import find_modules, in_order
from lkm.tree.depmod_workers import Forked
from lkm.tree.depmod_write import APART, Messages, put_parts, put_together
from lkm.tree.index_folder import IndexFolder
from lkm.tree.names import module_name

INPUTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")
OUTPUTS = tuple(name for names in PARTS.values() for name in names)
SHOWN = (
    "modules.dep",
    "modules.alias",
    "modules.softdep",
    "modules.weakdep",
    "modules.symbols",
    "modules.devname",
)
_MESSAGE_ORDER = ("search", "modules", "symbol check", *PARTS, "cycles")


class Request(NamedTuple):
    """What to index: the release's ``directory`` of modules, and where the files go.

    ``config`` are depmod.d's directories (or files), the strongest first; ``cache`` is the folder
    for facts kept between runs, empty for none; ``workers`` how many processes may work at once.
    """

    directory: str
    release: str
    output: str
    config: tuple[str, ...]
    cache: str = ""
    workers: int = 1
    warn_twice: bool = False
    files: tuple[str, ...] = ()
    """Only these modules, by absolute paths, instead of a search."""
    prefix: bytes = b""
    """A character that the architecture puts before C symbols."""
    kernel_symbols: Mapping[bytes, int] | None = None
    """The kernel's own symbols and CRCs: those neither it nor a module has are reported."""
    check_crcs: bool = False


class Outcome(NamedTuple):
    """What a run did: how many modules there are, how many were read, which files were written.

    ``cycles`` are paths of module names that end where they begin; with any, nothing is written.
    """

    modules: int
    read: int
    written: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...] = ()


def index_tree(
    request: Request,
    report: Report,
    progress: Progress,
    explain: Callable[[str], None] | None = None,
) -> Outcome:
    """Bring the index files of a tree up to date; problems of single modules go to ``report``.

    ``explain`` is told why modules need each other. Raises ``OSError`` when the directory cannot
    be listed or the files cannot be written.
    """
    run = _Run(request, progress, explain)
    try:
        return run.run()
    finally:
        run.report_to(report)


def show_tree(request: Request, report: Report, progress: Progress) -> Iterator[bytes]:
    """Yield the text index files, one after the other, without writing any."""
    run = _Run(request._replace(cache=""), progress, None)
    try:
        build = run.build()
        texts = {
            name: data
            for part in PARTS
            if part != "builtin"
            for name, data in build.texts(part, run.reporter(part))
        }
        yield from (texts[name] for name in SHOWN if name in texts)
    except CycleError as error:
        run.report_cycles(build, error)
    finally:
        run.report_to(report)


class _Run:
    """One run: what was asked for, what the last run left, and the messages so far."""

    def __init__(
        self, request: Request, progress: Progress, explain: Callable[[str], None] | None
    ) -> None:
        self.messages: Messages = {}
        self._request = request
        self._progress = progress
        self._explain = explain
        # Taking a tree's facts apart one by one takes 30 ms, which a command that ends after this
        # need not wait for: they hang on a circle, and are the garbage collector's.
        self._left_over: list[object] = [self]
        self._cache: Cache | None = None
        self._old: State | None = None
        # What is asked for beyond the files cannot be told from what was kept.
        beyond = request.files or request.prefix or request.kernel_symbols is not None or explain
        if request.cache and not beyond:
            self._cache = Cache(request.cache, request.directory, request.output)
            self._old = self._cache.load_state()

    def run(self) -> Outcome:
        request = self._request
        rules, found = self._search()
        paths = list(found.values())
        now = State(
            circumstances=repr((rules, request.warn_twice, OUTPUTS)),
            paths="".join([f"{path}\0" for path in paths]),
            signatures=stat_all(request.directory, paths) if self._old else b"",
            files=self._files(),
            messages={},
            facts=0,
        )
        if self._old and now == self._old._replace(messages={}, facts=0):
            self.messages = self._old.messages
            return Outcome(len(paths), 0, ())
        ordered = in_order(request.directory, found, self.reporter("search"))
        os.makedirs(request.output, exist_ok=True)
        with IndexFolder(request.output) as folder:
            return self._index(folder, ordered, now)

    def build(self) -> Build:
        """Return the contents of all files, read anew."""
        request = self._request
        _, found = self._search()
        ordered = in_order(request.directory, found, self.reporter("search"))
        facts = self._read_all(ordered)
        self._report_problems(facts)
        return self._build(facts)

    def report_to(self, report: Report) -> None:
        """Pass on all messages, in kmod's order."""
        for part in _MESSAGE_ORDER:
            for level, text in self.messages.get(part, ()):
                report(level, text)

    def _search(self) -> tuple[Rules, dict[str, str]]:
        request = self._request
        if request.files:
            inside = f"{request.directory}/"
            return Rules(), {module_name(p): p.removeprefix(inside) for p in request.files}
        search = self.reporter("search")
        rules = load_rules(request.config, request.release, search)
        return rules, find_modules(request.directory, rules, search)

    def _index(self, folder: IndexFolder, ordered: list[str], now: State) -> Outcome:
        facts, read, keep, partner = self._gather(folder, ordered, now)
        self._report_problems(facts)
        build = self._build(facts)
        self._left_over.append(build)
        number = 0

        def save_facts() -> None:
            nonlocal number
            number = self._cache.save_facts(facts) if self._cache else 0

        parts = [part for part in PARTS if part not in keep]
        try:
            self.messages |= put_together(folder, build, parts, partner, save_facts)
        except CycleError as error:
            return Outcome(len(ordered), read, (), self.report_cycles(build, error))
        if self._old:
            self.messages |= {part: self._old.messages[part] for part in keep}
        written = folder.commit()
        self._save_state(now, facts, number)
        return Outcome(len(ordered), read, written)

    def _gather(
        self, folder: IndexFolder, ordered: list[str], now: State
    ) -> tuple[TreeFacts, int, frozenset[str], Forked | None]:
        """Return the facts, how many modules were read, and which parts need not be written.

        And a process that is already putting those of ``APART``, if there is one.
        """
        loaded = self._cache.load_facts() if self._cache and self._old else None
        if loaded and self._old:
            number, old = loaded
            update = self._updated(old, ordered, now)
            if update:
                facts, read = update
                intact = self._old.facts == number and self._old.files == now.files
                same = intact and self._old.circumstances == now.circumstances
                keep = _kept(old, facts) if same else frozenset()
                return facts, read, keep, self._partner(folder, facts, keep)
        if self._plain():
            request = self._request
            facts, partner = gather(
                request.directory,
                ordered,
                request.workers,
                self._progress,
                lambda facts: put_parts(folder, self._build(facts), APART),
            )
        else:
            facts, partner = self._read_all(ordered), None
        return facts, len(ordered), frozenset(), partner

    def _partner(
        self, folder: IndexFolder, facts: TreeFacts, keep: frozenset[str]
    ) -> Forked | None:
        apart = [part for part in APART if part not in keep]
        if self._request.workers < 2 or not apart:
            return None
        return Forked(lambda _: iter([put_parts(folder, self._build(facts), apart)]))

    def _build(self, facts: TreeFacts) -> Build:
        request = self._request
        return Build(request.directory, facts, warn_twice=request.warn_twice)

    def _plain(self) -> bool:
        """Say whether nothing is asked for that needs each module's own symbols here."""
        request = self._request
        return not (request.prefix or request.kernel_symbols is not None or self._explain)

    def _read_all(self, ordered: list[str]) -> TreeFacts:
        request = self._request
        scanned = scan_all(request.directory, ordered, self._progress)
        if request.prefix:
            from lkm.tree.depmod_check import without_prefix  # as below

            scanned = without_prefix(request.directory, ordered, scanned, request.prefix)
        facts = TreeFacts.gathered(ordered, scanned)
        self._check(facts, scanned)
        return facts

    def _check(self, facts: TreeFacts, scanned: Sequence[Scanned]) -> None:
        from lkm.tree import depmod_check  # brings the full ELF reader, which is seldom needed

        request = self._request
        if request.kernel_symbols is not None:
            depmod_check.report_unresolved(
                request.directory,
                facts,
                scanned,
                request.kernel_symbols,
                self.reporter("symbol check"),
                with_crcs=request.check_crcs,
                prefix=request.prefix,
            )
        if self._explain:
            for reason in depmod_check.reasons(request.directory, facts, request.prefix):
                self._explain(reason)

    def _updated(
        self, old: TreeFacts, ordered: list[str], now: State
    ) -> tuple[TreeFacts, int] | None:
        """Return the facts of before with what has changed read; ``None`` if all must be."""
        request = self._request
        paths = now.paths.split("\0")[:-1]
        signatures = dict(zip(paths, unpack_signatures(now.signatures), strict=True))
        places = {path: place for place, path in enumerate(old.paths)}
        changed = [
            path
            for path in ordered
            if (place := places.get(path)) is None or old.signatures[place] != signatures[path]
        ]
        if 2 * len(changed) > len(ordered):
            return None
        scanned = scan_all(request.directory, changed, self._progress)
        exports = {name for facts, _ in scanned for name in facts[3].split(b"\0")[:-1]}
        if not exports <= old.known.numbers.keys():
            return None  # the others may import what nobody exported when they were read
        new = dict(zip(changed, scanned, strict=True))
        facts = TreeFacts(old.known)
        for path in ordered:
            if path in new:
                facts.append(path, new[path])
            else:
                facts.take(old, places[path])
        return facts, len(changed)

    def _files(self) -> tuple[Signature | None, ...]:
        request = self._request
        return tuple(
            file_signature(f"{folder}/{name}")
            for folder, names in ((request.directory, INPUTS), (request.output, OUTPUTS))
            for name in names
        )

    def _save_state(self, now: State, facts: TreeFacts, number: int) -> None:
        if not self._cache:
            return
        signatures = dict(zip(facts.paths, facts.signatures, strict=True))
        in_walk_order = [signatures[path] for path in now.paths.split("\0")[:-1]]
        self._cache.save_state(
            now._replace(
                signatures=pack_signatures(in_walk_order),
                files=self._files(),
                messages=self.messages,
                facts=number,
            )
        )

    def reporter(self, part: str) -> Report:
        own = self.messages.setdefault(part, [])
        return lambda level, text: own.append((level, text))

    def _report_problems(self, facts: TreeFacts) -> None:
        report = self.reporter("modules")
        for path, problem in zip(facts.paths, facts.problems, strict=True):
            if problem:
                full = os.path.join(self._request.directory, path)
                report("ERROR", f"failed to load symbols from {full}: {problem}")

    def report_cycles(self, build: Build, error: CycleError) -> tuple[tuple[str, ...], ...]:
        report = self.reporter("cycles")
        cycles = tuple(
            tuple(os.fsdecode(build.names[module]) for module in cycle) for cycle in error.cycles
        )
        for cycle in cycles:
            report("ERROR", f"Cycle detected: {' -> '.join(cycle)}")
        involved = {name for cycle in cycles for name in cycle}
        report("ERROR", f"Found {len(involved)} modules in dependency cycles!")
        return cycles


def _kept(old: TreeFacts, new: TreeFacts) -> frozenset[str]:
    """Return the parts whose files are what they were, the facts being so."""
    keep = {"builtin"}
    if _placed(old.paths, old.aliases) == _placed(new.paths, new.aliases):
        keep.add("aliases")
    if _placed(old.paths, old.exports) == _placed(new.paths, new.exports):
        keep.add("symbols")
    return frozenset(keep)


def _placed(paths: list[str], column: list[bytes]) -> list[tuple[int, str, bytes]]:
    """Return the modules that have anything in ``column``, with their places in the order."""
    return [
        (place, path, value)
        for place, (path, value) in enumerate(zip(paths, column, strict=True))
        if value
    ]
