"""From the facts of a tree to the contents of its index files, and into its folder."""

from __future__ import annotations

import os

from lkm.depmod import output
from lkm.depmod.order import closure, load_order
from lkm.depmod.tree_facts import ModuleColumns, Needs
from lkm.module.names import module_name

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lkm.depmod.rules import Report

    Files = Iterator[tuple[str, bytes]]


class IndexBuild:
    """The index files of one tree, made of its facts and its modules' names.

    Raises ``CycleError`` where the modules cannot be ordered.
    """

    def __init__(
        self, directory: str, facts: ModuleColumns, names: list[bytes], *, warn_twice: bool = False
    ) -> None:
        self.directory = directory
        self.facts = facts
        self._warn_twice = warn_twice
        self.names = names

    def files(self, part: str, report: Report) -> Files:
        """Yield the files of one of ``PARTS``."""
        make = {
            "dependencies": self.dependency_files,
            "aliases": self.alias_files,
            "symbols": self.symbol_file,
            "symbol trie": self.symbol_trie_file,
            "builtin": self.builtin_files,
            "small": self.small_files,
        }[part]
        return make(report)

    def texts(self, part: str, report: Report) -> Files:
        """Yield only the texts of one of ``PARTS``."""
        return (file for file in self.files(part, report) if not file[0].endswith(".bin"))

    def dependency_files(self, report: Report) -> Files:
        """Yield modules.dep and its trie."""
        needs = Needs(self.directory, self.facts)
        direct = needs.all()
        every = closure(direct, load_order(direct, needs.exact))
        lines = output.dependency_lines(_encoded(self.facts.paths), every)
        yield "modules.dep", output.dependency_text(lines)
        yield "modules.dep.bin", output.dependency_trie(self.names, lines, report)

    def alias_files(self, report: Report) -> Files:
        """Yield modules.alias and its trie."""
        yield "modules.alias", output.alias_text(self.names, self.facts.aliases)
        values = output.name_values(self.names)
        trie = output.alias_trie(values, self.facts.aliases, report, warn=self._warn_twice)
        yield "modules.alias.bin", trie

    def symbol_file(self, report: Report) -> Files:
        """Yield modules.symbols."""
        known, owners = self.facts.known.numbers, self.facts.known_owners()
        yield "modules.symbols", output.symbol_text(self.names, known, owners)

    def symbol_trie_file(self, report: Report) -> Files:
        """Yield the trie of modules.symbols."""
        values = output.name_values(self.names)
        yield "modules.symbols.bin", output.symbol_trie(values, self.facts.owners(), report)

    def builtin_files(self, report: Report) -> Files:
        """Yield the tries of the modules built into the kernel."""
        data = self._input("modules.builtin", report)
        trie = b"" if data is None else output.builtin_trie(data, report)
        yield "modules.builtin.bin", trie
        data = self._input("modules.builtin.modinfo", report)
        trie = b"" if data is None else output.builtin_alias_trie(data, report)
        yield "modules.builtin.alias.bin", trie

    def small_files(self, report: Report) -> Files:
        """Yield the files only few modules have a line in.

        modules.weakdep only where one has, or where there is such a file, written before.
        """
        facts = self.facts
        yield "modules.softdep", output.softdep_text(self.names, facts.softdeps)
        if any(facts.weakdeps) or os.path.exists(f"{self.directory}/modules.weakdep"):
            yield "modules.weakdep", output.weakdep_text(self.names, facts.weakdeps)
        yield "modules.devname", output.devname_text(self.names, facts.aliases, report)

    def _input(self, name: str, report: Report) -> bytes | None:
        try:
            with open(f"{self.directory}/{name}", "rb", buffering=0) as file:
                return file.read()
        except OSError as error:
            place = f"could not open {name} at {self.directory}"
            report("WARNING", f"{place}: {error.strerror}")
            return None


def names_of(paths: Sequence[str]) -> list[bytes]:
    """Return the names of the modules in the files ``paths``."""
    return _encoded(list(map(module_name, paths)))


def _encoded(names: Sequence[str]) -> list[bytes]:
    """Return file names as bytes; at once, for names hold no NUL."""
    return os.fsencode("\0".join(names)).split(b"\0") if names else []
