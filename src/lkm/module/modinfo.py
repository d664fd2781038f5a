"""The ``.modinfo`` section: ``key=value`` strings, each ended by a NUL.

Source: ``include/linux/moduleparam.h: __MODULE_INFO``; who reads it: ``kernel/module/main.c:
get_next_modinfo``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModInfo:
    """The fields in file order, repeats kept; a string without ``=`` has an empty value."""

    fields: tuple[tuple[str, str], ...]

    def get(self, key: str) -> str | None:
        """Return the first value of ``key``, which is the one the kernel takes."""
        for name, value in self.fields:
            if name == key:
                return value
        return None

    def all(self, key: str) -> tuple[str, ...]:
        """Return every value of ``key``."""
        return tuple(value for name, value in self.fields if name == key)


def parse(data: bytes) -> ModInfo:
    """Return the fields in the bytes of a ``.modinfo`` section.

    Bytes that are not UTF-8 are kept as surrogates (``os.fsencode`` brings them back).
    """
    text = data.decode("utf-8", "surrogateescape")
    pairs = [entry.partition("=") for entry in text.split("\0") if entry]
    return ModInfo(tuple([(key, value) for key, _, value in pairs]))
