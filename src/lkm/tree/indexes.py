"""The indexes of one module tree, opened when first asked, with their text as the second best."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from lkm.errors import FormatError
from lkm.tree.index_file import IndexFile, IndexValue

_Answer = TypeVar("_Answer")
_NO_FILE = "no file"
_EXPECTED = ("modules.dep", "modules.alias", "modules.symbols")


class Indexes:
    """The ``modules.*.bin`` of one directory.

    A trie that is missing or damaged is replaced by its text twin, and ``problems`` says so; an
    index that is not there in either form has no entries.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = os.fspath(directory)
        self.problems: list[str] = []
        self._open: dict[str, IndexFile | None] = {}

    def dependency_line(self, module: str) -> str | None:
        """Return ``PATH: DEPENDENCIES…`` of a module, ``None`` when it has no file here."""
        return self._ask("modules.dep", lambda index: index.search(module), None)

    def aliases(self, alias: str) -> tuple[str, ...]:
        """Return the modules whose aliases match, in kmod's order."""
        return self._wild("modules.alias", alias)

    def symbols(self, symbol: str) -> tuple[str, ...]:
        """Return the modules that export ``symbol:NAME``."""
        return self._wild("modules.symbols", symbol)

    def is_builtin(self, module: str) -> bool:
        """Whether the module is part of the kernel image."""
        line = self._ask("modules.builtin", lambda index: index.search(module), None)
        return line is not None

    def builtin_aliases(self, alias: str) -> tuple[str, ...]:
        """Return the built-in modules whose aliases match."""
        return self._wild("modules.builtin.alias", alias)

    def items(self, name: str) -> Iterator[tuple[str, IndexValue]]:
        """Yield every key and value of the index ``name`` (``modules.alias``), as kmod dumps it."""
        none: list[tuple[str, IndexValue]] = []
        return iter(self._ask(name, lambda index: list(index.items()), none))

    def _wild(self, name: str, key: str) -> tuple[str, ...]:
        none: tuple[IndexValue, ...] = ()
        values = self._ask(name, lambda index: index.search_wild(key), none)
        return tuple(value.value for value in values)

    def _ask(self, name: str, question: Callable[[IndexFile], _Answer], none: _Answer) -> _Answer:
        if name not in self._open:
            self._open[name] = self._opened(name)
        index = self._open[name]
        if index is None:
            return none
        try:
            return question(index)
        except FormatError as problem:
            index = self._open[name] = self._from_text(name, problem)
            return question(index) if index else none

    def _opened(self, name: str) -> IndexFile | None:
        path = f"{self.directory}/{name}.bin"
        try:
            return IndexFile.open(path)
        except (FileNotFoundError, NotADirectoryError):
            problem = FormatError("a trie", _NO_FILE, path=path)
        except OSError as error:
            problem = FormatError("a readable file", error.strerror or "an error", path=path)
        except FormatError as error:
            problem = error
        return self._from_text(name, problem)

    def _from_text(self, name: str, problem: FormatError) -> IndexFile | None:
        """Replace a trie by its text, and note why; nothing is to be said if neither is there."""
        from lkm.tree.index_text import from_text  # costs start-up time, rarely needed

        try:
            index = from_text(self.directory, name)
        except OSError:
            index = None
        # A tree need not have the built-in indexes, and nobody misses what has no text either.
        if problem.found != _NO_FILE or (index and name in _EXPECTED):
            instead = f"{index.path} was read instead" if index else "there is no text of it"
            self.problems.append(f"{problem}; {instead} (depmod makes it anew)")
        return index
