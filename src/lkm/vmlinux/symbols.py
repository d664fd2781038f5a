"""A kernel's symbols: by name and by address."""

from __future__ import annotations

import bisect
import functools
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lkm.errors import FormatError, NotFoundError


@dataclass(frozen=True, slots=True)
class ImageSymbol:
    """A symbol: its address in the image, ``nm``'s letter for its kind, and its name."""

    address: int
    type: str
    name: str


class Symbols:
    """The symbols of one kernel, in kallsyms' order (which is that of their addresses).

    Names repeat (each file has its own static ``init``): ``symbols[name]`` is the first of them,
    ``every`` gives all.
    """

    def __init__(self, addresses: array[int], types: str, names: Sequence[str]) -> None:
        self.addresses = addresses
        self.types = types
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[ImageSymbol]:
        return map(ImageSymbol, self.addresses, self.types, self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> int:
        try:
            return self.addresses[self._by_name[name]]
        except KeyError:
            raise NotFoundError(f"the kernel has no symbol {name!r}") from None

    def get(self, name: str) -> int | None:
        """Return the address of the first symbol of that name, or ``None``."""
        index = self._by_name.get(name)
        return None if index is None else self.addresses[index]

    def every(self, name: str) -> tuple[int, ...]:
        """Return the addresses of all symbols of that name."""
        return tuple(a for a, n in zip(self.addresses, self.names, strict=True) if n == name)

    def at(self, address: int) -> tuple[ImageSymbol, int] | None:
        """Return the symbol an address lies in and the offset into it; ``None`` below the first.

        Of several symbols at one address the first is named, as the kernel does
        (``kernel/kallsyms.c: get_symbol_pos``).
        """
        index = bisect.bisect_right(self.addresses, address) - 1
        if index < 0:
            return None
        index = bisect.bisect_left(self.addresses, self.addresses[index])
        found = ImageSymbol(self.addresses[index], self.types[index], self.names[index])
        return found, address - found.address

    def size(self, address: int) -> int:
        """Return how many bytes the symbol at ``address`` has: up to the next higher symbol."""
        following = bisect.bisect_right(self.addresses, address)
        return self.addresses[following] - address if following < len(self.addresses) else 0

    @functools.cached_property
    def _by_name(self) -> dict[str, int]:
        return dict(zip(reversed(self.names), range(len(self.names) - 1, -1, -1), strict=True))

    def to_bytes(self) -> bytes:
        """Return the symbols as one string of bytes that ``from_bytes`` reads."""
        count = len(self.names).to_bytes(8, "little")
        text = "\n".join(self.names).encode()
        return count + self.addresses.tobytes() + self.types.encode("latin-1") + text

    @classmethod
    def from_bytes(cls, data: bytes) -> Symbols:
        """Read what ``to_bytes`` wrote."""
        count = int.from_bytes(data[:8], "little")
        types = 8 + 8 * count
        addresses = array("Q", data[8:types]) if types <= len(data) else array("Q")
        names = data[types + count :].decode().split("\n")
        if len(addresses) != count or len(names) != count:
            raise FormatError(f"{count} symbols", f"{len(names)} names")
        return cls(addresses, data[types : types + count].decode("latin-1"), names)
