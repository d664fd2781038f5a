"""An index made from its text twin, where the trie is damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lkm.errors import FormatError
from lkm.module.names import module_name, normalize_alias
from lkm.tree.index_file import IndexFile
from lkm.tree.index_writer import pack_several, pack_value, trie


class OpenedIndex(NamedTuple):
    """An index that can be looked up; ``problem`` says why its trie could not be used."""

    trie: IndexFile
    problem: FormatError | None = None


def open_index(directory: str | os.PathLike[str], name: str) -> OpenedIndex:
    """Open ``DIRECTORY/NAME.bin``, with ``name`` such as ``modules.dep``.

    A trie that does not begin as one is replaced, in memory, by what its text twin says
    (``modules.dep``, ``.alias``, ``.symbols``; ``modules.builtin`` and
    ``modules.builtin.modinfo`` for the two built-in ones). Raises ``FileNotFoundError`` when
    there is no trie, ``FormatError`` when it is damaged and there is no text either.
    """
    path = Path(directory, f"{name}.bin")
    try:
        return OpenedIndex(IndexFile.open(path))
    except FormatError as error:
        return rebuilt(directory, name, error)


def rebuilt(directory: str | os.PathLike[str], name: str, problem: FormatError) -> OpenedIndex:
    """Return the index made from the text twin of ``name``, because of ``problem``.

    For a trie whose damage only shows in a look-up; raises ``problem`` when there is no text.
    """
    source = Path(directory, _TEXTS.get(name, name))
    try:
        text = os.fsdecode(source.read_bytes())
    except FileNotFoundError:
        raise problem from None
    packed: dict[bytes, list[bytes]] = {}
    for key, priority, value in _PARSERS[name](text):
        if key.isascii():
            packed.setdefault(key.encode(), []).append(pack_value(priority, os.fsencode(value)))
    data = trie({key: pack_several(values) for key, values in packed.items()})
    return OpenedIndex(IndexFile(data, str(source)), problem)


def _dependencies(text: str) -> Iterator[tuple[str, int, str]]:
    for number, line in enumerate(text.splitlines()):
        path, colon, _ = line.partition(":")
        if colon:
            yield module_name(path), number, line


def _aliases(text: str) -> Iterator[tuple[str, int, str]]:
    order: dict[str, int] = {}
    for line in text.splitlines():
        if line.startswith("alias "):
            pattern, _, module = line.removeprefix("alias ").rpartition(" ")
            key = normalize_alias(pattern)
            if key is not None:
                yield key, order.setdefault(module, len(order)), module


def _builtin(text: str) -> Iterator[tuple[str, int, str]]:
    for line in text.splitlines():
        if line:
            yield module_name(line), 0, ""


def _builtin_aliases(text: str) -> Iterator[tuple[str, int, str]]:
    # Of equal priorities the last written comes first, as in kmod's trie.
    for entry in reversed(text.split("\0")):
        module, _, field = entry.partition(".")
        name, _, alias = field.partition("=")
        if name == "alias" and (key := normalize_alias(alias)) is not None:
            yield key, 0, module


_PARSERS = {
    "modules.dep": _dependencies,
    "modules.alias": _aliases,
    "modules.symbols": _aliases,
    "modules.builtin": _builtin,
    "modules.builtin.alias": _builtin_aliases,
}
_TEXTS = {"modules.builtin.alias": "modules.builtin.modinfo"}
