"""Numbers for the symbols that modules import: they are named often, and by long names."""

from __future__ import annotations

from array import array
from itertools import count
from struct import Struct

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION_RECORD = 64
iterate_versions = Struct("8x56s").iter_unpack  # struct modversion_info: a CRC, a padded name


class Symbols:
    """Names that were met, each with its number: how many were met before it."""

    def __init__(self, names: Iterable[bytes] = ()) -> None:
        self.numbers: dict[bytes, int] = dict(zip(names, count(), strict=False))
        self._records = _Records(self)

    def number(self, name: bytes) -> int:
        """Return the number of ``name``, which gets one if it has none."""
        return self.numbers.setdefault(name, len(self.numbers))

    def of_versions(self, versions: bytes) -> array[int]:
        """Return the numbers of the names in a ``__versions`` section, in their order."""
        records = self._records
        return array("I", [records[name] for (name,) in iterate_versions(versions)])

    def of_names(self, names: bytes) -> array[int]:
        """Return the numbers of names each ended by a NUL, in their order."""
        # 64-bit PowerPC of old calls a function's code ``.name``.
        plain = [name.removeprefix(b".") for name in names.split(b"\0")[:-1]]
        return array("I", map(self.number, plain))

    def same_as(self, names: Iterable[bytes]) -> list[int]:
        """Return the numbers here of another process's names, by their numbers there."""
        return [self.number(name) for name in names]


class _Records(dict[bytes, int]):
    """The same by the names as ``__versions`` has them, padded: so they need not be cut off."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols

    def __missing__(self, record: bytes) -> int:
        self[record] = number = self._symbols.number(record.partition(b"\0")[0])
        return number
