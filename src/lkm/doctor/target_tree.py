"""Target facts out of a module tree: which modules there are and what each exports.

What each file exports is kept in the cache, by path, size and time of change, so that only what
is new is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from lkm import files
from lkm.doctor.offers import Fields, TreeOffers
from lkm.doctor.target import TreeFacts
from lkm.errors import FormatError
from lkm.module.image import ModuleImage, name_of
from lkm.tree.config import Config, read_config
from lkm.tree.module_files import BUILD_LINKS, module_files
from lkm.tree.root import Root


class _Entry(msgspec.Struct, array_like=True):
    size: int
    mtime: int
    exports: list[tuple[str, bool, str, int | None]]


def read_tree(root: Root, *, command_line: str = "") -> TreeFacts:
    """Return the modules of ``root`` and what they export.

    ``command_line`` is a file like /proc/cmdline whose module options take part, or "". A file
    that cannot be read as a module exports nothing.
    """
    directory = root.modules_directory
    config = read_config(root=root, modules_directory=directory, kernel_command_line=command_line)
    return tree_of(directory, config)


def tree_of(directory: str, config: Config | None = None) -> TreeFacts:
    """Return the modules below ``directory`` (``lib/modules/RELEASE``), with its configuration."""
    known = _load(directory)
    entries: dict[str, _Entry] = {}
    for file in module_files(directory, skip=BUILD_LINKS):
        path, status = file.path, file.stat()
        entry = known.get(path)
        if entry is None or (entry.size, entry.mtime) != (status.st_size, status.st_mtime_ns):
            entry = _Entry(status.st_size, status.st_mtime_ns, _exports(path))
        entries[path] = entry
    if entries != known:
        _save(directory, entries)
    return TreeFacts(
        directory=directory,
        modules={name_of(path): path for path in sorted(entries, key=_rank, reverse=True)},
        offers=_offers(entries),
        builtin=_builtin(directory),
        config=config or Config(),
    )


def _rank(path: str) -> tuple[bool, str]:
    """Of two files of one name ``updates`` wins, as in depmod's default search order."""
    return "/updates/" not in path, path


def _exports(path: str) -> list[tuple[str, bool, str, int | None]]:
    try:
        image = ModuleImage.open(path)
        try:
            return [(e.name, e.gpl, e.namespace, e.crc) for e in image.exports]
        finally:
            image.close()
    except (FormatError, OSError):
        return []


def _offers(entries: dict[str, _Entry]) -> TreeOffers:
    owners: dict[str, list[tuple[str, Fields]]] = {}
    for path, entry in entries.items():
        if entry.exports:
            owner = name_of(path)
            for name, gpl, namespace, crc in entry.exports:
                owners.setdefault(name, []).append((owner, (gpl, namespace, crc)))
    return TreeOffers(owners)


def _builtin(directory: str) -> frozenset[str]:
    try:
        text = Path(directory, "modules.builtin").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    return frozenset(name_of(line) for line in text.split())


def _cache_file(directory: str) -> Path:
    key = hashlib.sha256(os.fsencode(os.path.realpath(directory))).hexdigest()[:32]
    return files.cache_directory("exports") / key


def _load(directory: str) -> dict[str, _Entry]:
    try:
        data = _cache_file(directory).read_bytes()
        return msgspec.msgpack.decode(data, type=dict[str, _Entry])
    except (OSError, msgspec.DecodeError):
        return {}


def _save(directory: str, entries: dict[str, _Entry]) -> None:
    with contextlib.suppress(OSError):  # no space, or read-only: read anew next time
        files.write_atomic(_cache_file(directory), msgspec.msgpack.encode(entries))
