"""An index made from the text beside its trie, where that is damaged or missing."""

from __future__ import annotations

import os
from collections.abc import Iterator

from lkm.module.names import module_name, normalize_alias
from lkm.tree.index_file import IndexFile
from lkm.tree.index_writer import pack_several, pack_value, trie


def from_text(directory: str | os.PathLike[str], name: str) -> IndexFile:
    """Return the index ``name`` (``modules.dep``) made, in memory, from its text twin.

    The two built-in ones are made from ``modules.builtin`` and ``modules.builtin.modinfo``.
    Raises ``OSError`` when there is no text.
    """
    source = os.path.join(directory, _TEXTS.get(name, name))
    with open(source, "rb") as file:
        text = os.fsdecode(file.read())
    packed: dict[bytes, list[bytes]] = {}
    for key, priority, value in _PARSERS[name](text):
        if key.isascii():
            packed.setdefault(key.encode(), []).append(pack_value(priority, os.fsencode(value)))
    data = trie({key: pack_several(values) for key, values in packed.items()})
    return IndexFile(data, source)


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
