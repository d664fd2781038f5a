"""The facts of all modules of a tree, in columns, and who needs whom by them.

Imports are kept as numbers of *known* symbols: those that some module exports, or did when these
facts were gathered. A symbol that no module ever exported cannot make a dependency.
"""

from __future__ import annotations

import os
from itertools import chain, count, repeat

from lkm.depmod.hash_order import SYMBOL_BUCKETS, in_hash_order
from lkm.depmod.module_facts import ended
from lkm.depmod.scan import iterate_versions, undefined_names

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lkm.depmod.order import Dependencies
    from lkm.depmod.scan import Scanned

_RECORD_NAME = 56  # bytes of a __versions record that hold the padded name


class KnownSymbols:
    """The symbols modules export, numbered in the order of kmod's hash table."""

    def __init__(self, names: Iterable[bytes]) -> None:
        """Number the distinct ``names``."""
        self.numbers: dict[bytes, int] = dict(zip(names, count(), strict=False))

    def imported_by_all(self, scanned: Sequence[Scanned]) -> list[list[int]]:
        """Return for each module the numbers of the known among its imports, in their order."""
        padded = {name.ljust(_RECORD_NAME, b"\0"): i for name, i in self.numbers.items()}
        return [
            [padded[name] for (name,) in iterate_versions(module[4]) if name in padded]
            if module[4]
            else self._named(module[5])
            for module, _ in scanned
        ]

    def imported(self, versions: bytes | memoryview, imports: bytes) -> list[int]:
        """Return the same for a single module."""
        if versions:
            imports = ended([name.rstrip(b"\0") for (name,) in iterate_versions(versions)])
        return self._named(imports)

    def _named(self, imports: bytes) -> list[int]:
        # 64-bit PowerPC of old calls a function's code ``.name``.
        return self.numbered((b"\0" + imports).replace(b"\0.", b"\0").split(b"\0")[1:-1])

    def numbered(self, names: Iterable[bytes]) -> list[int]:
        """Return the numbers of the known among ``names``, in their order."""
        numbers = self.numbers
        return [numbers[name] for name in names if name in numbers]


_COLUMNS = ("aliases", "exports", "imports", "problems", "softdeps", "weakdeps")


class ModuleColumns:
    """The facts of modules in a fixed order; each attribute is a column.

    ``imports`` are numbers of ``known`` symbols; where ``exact`` is set, in symbol-table order.
    Strings are ended by NUL.
    """

    __slots__ = (
        "_known_owners",
        "_owners",
        "aliases",
        "exact",
        "exports",
        "imports",
        "known",
        "paths",
        "problems",
        "softdeps",
        "weakdeps",
    )

    def __init__(self, known: KnownSymbols) -> None:
        self.known = known
        self.paths: list[str] = []
        self.aliases: list[bytes] = []
        self.softdeps: list[bytes] = []
        self.weakdeps: list[bytes] = []
        self.exports: list[bytes] = []
        self.imports: list[list[int]] = []
        self.exact = bytearray()
        self.problems: list[str] = []
        self._owners: dict[bytes, int] | None = None
        self._known_owners: list[int] | None = None

    @classmethod
    def gathered(cls, paths: Sequence[str], scanned: Sequence[Scanned]) -> ModuleColumns:
        """Return the facts of a tree all of whose modules were read, but for ``imports``."""
        facts = cls(KnownSymbols(()))
        facts.paths = list(paths)
        facts.aliases = [module[0] for module, _ in scanned]
        facts.softdeps = [module[1] for module, _ in scanned]
        facts.weakdeps = [module[2] for module, _ in scanned]
        facts.exports = [module[3] for module, _ in scanned]
        facts.problems = [module[6] for module, _ in scanned]
        return facts

    def add_imports(self, scanned: Sequence[Scanned]) -> None:
        """Tell from what the modules export which of those symbols each imports."""
        self.known = KnownSymbols(in_hash_order(self.owners(), SYMBOL_BUCKETS))
        self.imports = self.known.imported_by_all(scanned)
        self.exact = bytearray([not module[4] for module, _ in scanned])

    @classmethod
    def changed(
        cls, old: ModuleColumns, paths: Sequence[str], new: Mapping[str, Scanned]
    ) -> ModuleColumns:
        """Return the facts of ``paths``: those of the modules in ``new``, for the rest the old.

        What the new ones export must be known already.
        """
        facts = cls(old.known)
        facts.paths = list(paths)
        before = {path: place for place, path in enumerate(old.paths)}
        places = [before.get(path, 0) for path in paths]
        for column in _COLUMNS:
            values = getattr(old, column)
            setattr(facts, column, [values[place] for place in places])
        facts.exact = bytearray([old.exact[place] for place in places])
        for place, path in enumerate(paths):
            if path in new:
                facts._put(place, new[path])
        return facts

    def _put(self, place: int, module: Scanned) -> None:
        (aliases, softdeps, weakdeps, exports, versions, imports, problem), _ = module
        self.aliases[place] = aliases
        self.softdeps[place] = softdeps
        self.weakdeps[place] = weakdeps
        self.exports[place] = exports
        self.imports[place] = self.known.imported(versions, imports)
        self.exact[place] = not versions
        self.problems[place] = problem

    def owners(self) -> dict[bytes, int]:
        """Return which module exports each symbol: the last one that does."""
        if self._owners is None:
            names = b"".join(self.exports).split(b"\0")[:-1]
            modules = enumerate([exports.count(b"\0") for exports in self.exports])
            owners = chain.from_iterable(repeat(module, count) for module, count in modules)
            self._owners = dict(zip(names, owners, strict=True))
        return self._owners

    def known_owners(self) -> list[int]:
        """Return which module exports each of the known symbols; -1 where none does any more."""
        if self._known_owners is None:
            get = self.owners().get
            self._known_owners = [get(name, -1) for name in self.known.numbers]
        return self._known_owners


class Needs:
    """Who needs whom in a tree, and the exact order of it where that is asked for."""

    def __init__(self, directory: str, facts: ModuleColumns) -> None:
        self._directory = directory
        self._facts = facts
        self._owners = facts.known_owners()

    def all(self) -> Dependencies:
        """Return the modules each module needs."""
        owners = self._owners
        needs: Dependencies = []
        for numbers in self._facts.imports:
            if numbers:
                own = dict.fromkeys(map(owners.__getitem__, numbers))
                own.pop(-1, None)
                needs.append(list(own))
            else:
                needs.append(())
        return needs

    def exact(self, module: int) -> list[int]:
        """Return the modules one needs in its symbol table's order, reading that if need be."""
        facts = self._facts
        if not facts.exact[module]:
            path = os.path.join(self._directory, facts.paths[module])
            facts.imports[module] = facts.known.numbered(undefined_names(path))
            facts.exact[module] = True
        owners = self._owners
        own = dict.fromkeys([owners[number] for number in facts.imports[module]])
        own.pop(-1, None)
        return list(own)
