"""A run of depmod that has something to do: read what has changed, write what follows from it."""

from __future__ import annotations

import os
from itertools import zip_longest

from lkm.depmod.build import IndexBuild, names_of
from lkm.depmod.gather import ENOUGH, gather, scan_all
from lkm.depmod.order import CycleError
from lkm.depmod.publish import IndexFolder
from lkm.depmod.request import PARTS, IndexOutcome, files_now, reporter
from lkm.depmod.signature import NO_SIGNATURE
from lkm.depmod.tree_facts import ModuleColumns
from lkm.depmod.workers import Forked
from lkm.depmod.write import APART, UPDATED_APART, Partner, put_apart, put_together
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lkm.depmod.cache import Cache, CachedState
    from lkm.depmod.request import IndexRequest, Messages, Progress
    from lkm.depmod.scan import Scanned
    from lkm.depmod.signature import Signature


class _Gathered(Record):
    """The facts, how many modules were read for them, and the parts that need not be written.

    And a process that is already putting some of the others, if there is one, and what keeps the
    facts, unless that process does it.
    """

    facts: ModuleColumns
    read: int
    keep: frozenset[str]
    partner: Partner | None
    save: Callable[[], int] | None


class Update:
    """One run: what was asked for, what the last run left, and the messages so far."""

    def __init__(
        self,
        request: IndexRequest,
        messages: Messages,
        progress: Progress,
        *,
        explain: Callable[[str], None] | None = None,
        cache: Cache | None = None,
        old: CachedState | None = None,
    ) -> None:
        self._request = request
        self._messages = messages
        self._progress = progress
        self._explain = explain
        self._cache = cache
        self._old = old
        self._names: list[bytes] = []
        self._forked: Forked | None = None
        # What the modules were when they were read, which counts rather than what they were when
        # they were found: one that could not be read is read again.
        self._read: dict[str, Signature] = {}

    def run(self, ordered: list[str], now: CachedState) -> IndexOutcome:
        """Read and write what must be; ``now`` is what was found beside the modules' order."""
        self._names = names_of(ordered)
        with IndexFolder(self._request.output) as folder:
            return self._index(folder, ordered, now)

    def texts(self, ordered: list[str]) -> dict[str, bytes]:
        """Return the text files by name, all modules read anew; none where there are cycles."""
        self._names = names_of(ordered)
        facts = self._read_all(ordered)
        self._report_problems(facts)
        build = self._build(facts)
        try:
            return {
                name: data
                for part in PARTS
                if part not in ("builtin", "symbol trie")
                for name, data in build.texts(part, reporter(self._messages, part))
            }
        except CycleError as error:
            self._report_cycles(build, error)
            return {}

    def _index(self, folder: IndexFolder, ordered: list[str], now: CachedState) -> IndexOutcome:
        try:
            gathered = self._gather(folder, ordered, now)
            return self._put(folder, gathered, now)
        finally:
            if self._forked:
                self._forked.finish()

    def _put(self, folder: IndexFolder, gathered: _Gathered, now: CachedState) -> IndexOutcome:
        facts, read, keep, partner, save = gathered
        self._report_problems(facts)
        build = self._build(facts)
        parts = [part for part in PARTS if part not in keep]
        try:
            messages, number = put_together(folder, build, parts, partner, save)
        except CycleError as error:
            return IndexOutcome(len(facts.paths), read, (), self._report_cycles(build, error))
        self._messages |= messages
        if self._old:
            self._messages |= {part: self._old.messages[part] for part in keep}
        written = folder.commit()
        self._save_state(now, number)
        return IndexOutcome(len(facts.paths), read, written)

    def _gather(self, folder: IndexFolder, ordered: list[str], now: CachedState) -> _Gathered:
        before = self._old
        old = self._cache.load_facts(before.facts) if self._cache and before else None
        if old and before:
            update = self._updated(old, before, ordered, now)
            if update:
                facts, read = update
                intact = before.files == now.files and before.circumstances == now.circumstances
                keep = _kept(old, facts) if intact else frozenset()
                apart = tuple(part for part in UPDATED_APART if part not in keep)
                save = self._saver(facts)
                partner = self._partner(folder, facts, apart, save)
                return _Gathered(facts, read, keep, partner, None if partner else save)
        if not self._plain():
            facts = self._read_all(ordered)
            return _Gathered(facts, len(ordered), frozenset(), None, self._saver(facts))
        request = self._request
        scanned = gather(request.directory, ordered, request.workers, self._progress)
        self._note_read(ordered, scanned)
        facts = ModuleColumns.gathered(ordered, scanned)
        facts.owners()  # which both need
        partner = self._partner(folder, facts, APART)
        facts.add_imports(scanned)
        return _Gathered(facts, len(ordered), frozenset(), partner, self._saver(facts))

    def _partner(
        self,
        folder: IndexFolder,
        facts: ModuleColumns,
        parts: tuple[str, ...],
        save: Callable[[], int] | None = None,
    ) -> Partner | None:
        """Return a process that puts ``parts`` of what ``facts`` tell so far, if that pays."""
        request = self._request
        if request.workers < 2 or request.busy or len(facts.paths) < ENOUGH or not parts:
            return None
        build = self._build(facts)
        folder.expect(*(name for part in parts for name in PARTS[part]))
        self._forked = Forked(lambda: put_apart(folder, build, parts, save))
        return Partner(self._forked, parts)

    def _saver(self, facts: ModuleColumns) -> Callable[[], int]:
        """Return what keeps ``facts`` for the next run, and returns the number they got."""
        cache = self._cache
        return lambda: cache.save_facts(facts) if cache else 0

    def _build(self, facts: ModuleColumns) -> IndexBuild:
        request = self._request
        return IndexBuild(request.directory, facts, self._names, warn_twice=request.warn_twice)

    def _plain(self) -> bool:
        """Say whether nothing is asked for that needs each module's own symbols here."""
        request = self._request
        return not (request.prefix or request.kernel_symbols is not None or self._explain)

    def _read_all(self, ordered: list[str]) -> ModuleColumns:
        request = self._request
        scanned = scan_all(request.directory, ordered, self._progress)
        if request.prefix:
            from lkm.depmod.check import without_prefix  # as below

            scanned = without_prefix(request.directory, ordered, scanned, request.prefix)
        facts = ModuleColumns.gathered(ordered, scanned)
        facts.add_imports(scanned)
        self._check(facts, scanned)
        return facts

    def _check(self, facts: ModuleColumns, scanned: Sequence[Scanned]) -> None:
        from lkm.depmod import check  # brings the full ELF reader, which is seldom needed

        request = self._request
        if request.kernel_symbols is not None:
            check.report_unresolved(
                request.directory,
                facts,
                scanned,
                request.kernel_symbols,
                reporter(self._messages, "symbol check"),
                with_crcs=request.check_crcs,
                prefix=request.prefix,
            )
        if self._explain:
            for reason in check.reasons(request.directory, facts, request.prefix):
                self._explain(reason)

    def _updated(
        self, old: ModuleColumns, before: CachedState, ordered: list[str], now: CachedState
    ) -> tuple[ModuleColumns, int] | None:
        """Return the facts of before with what has changed read; ``None`` if all must be."""
        request = self._request
        known, found = before.by_path(), now.by_path()
        changed = [path for path in ordered if known.get(path) != found[path]]
        if 2 * len(changed) > len(ordered):
            return None
        scanned = scan_all(request.directory, changed, self._progress)
        self._note_read(changed, scanned)
        exports = {name for facts, _ in scanned for name in facts[3].split(b"\0")[:-1]}
        if not exports <= old.known.numbers.keys():
            return None  # the others may import what nobody exported when they were read
        facts = ModuleColumns.changed(old, ordered, dict(zip(changed, scanned, strict=True)))
        return facts, len(changed)

    def _note_read(self, paths: Sequence[str], scanned: Sequence[Scanned]) -> None:
        self._read = {path: read for path, (_, read) in zip(paths, scanned, strict=True)}

    def _save_state(self, now: CachedState, number: int) -> None:
        if not self._cache:
            return
        paths, read = now.all_paths(), self._read
        found = now.signatures or [NO_SIGNATURE] * len(paths)
        signatures = [read.get(path, was) for path, was in zip(paths, found, strict=True)]
        self._cache.save_state(
            now.replaced(
                signatures=signatures,
                files=files_now(self._request),
                messages=self._messages,
                facts=number,
            )
        )

    def _report_problems(self, facts: ModuleColumns) -> None:
        report = reporter(self._messages, "modules")
        if not any(facts.problems):
            return
        for path, problem in zip(facts.paths, facts.problems, strict=True):
            if problem:
                full = os.path.join(self._request.directory, path)
                report("ERROR", f"failed to load symbols from {full}: {problem}")

    def _report_cycles(self, build: IndexBuild, error: CycleError) -> tuple[tuple[str, ...], ...]:
        report = reporter(self._messages, "cycles")
        cycles = tuple(
            tuple(os.fsdecode(build.names[module]) for module in cycle) for cycle in error.cycles
        )
        for cycle in cycles:
            report("ERROR", f"Cycle detected: {' -> '.join(cycle)}")
        involved = {name for cycle in cycles for name in cycle}
        report("ERROR", f"Found {len(involved)} modules in dependency cycles!")
        return cycles


def _kept(old: ModuleColumns, new: ModuleColumns) -> frozenset[str]:
    """Return the parts whose files are what they were, the facts being so."""
    keep = {"builtin"}
    if _same_places(old.paths, old.aliases, new.paths, new.aliases):
        keep.add("aliases")
    if _same_places(old.paths, old.exports, new.paths, new.exports):
        keep |= {"symbols", "symbol trie"}
    return frozenset(keep)


def _same_places(
    old_paths: list[str], old: list[bytes], new_paths: list[str], new: list[bytes]
) -> bool:
    """Say whether the modules with anything in a column are the same, at the same places."""
    pairs = zip_longest(_placed(old_paths, old), _placed(new_paths, new))
    return all(before == after for before, after in pairs)


def _placed(paths: list[str], column: list[bytes]) -> Iterator[tuple[int, str, bytes]]:
    return (
        (place, path, value)
        for place, (path, value) in enumerate(zip(paths, column, strict=True))
        if value
    )
