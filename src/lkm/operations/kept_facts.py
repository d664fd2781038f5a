"""The facts of a tree's modules, kept in the cache: only what is new is read.

Most of the time that a comparison takes goes into decompressing modules.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lkm import files
from lkm.operations.module_facts import ModuleFacts, read_facts
from lkm.operations.parallel import Progress, spread


class _KeptFacts(msgspec.Struct, array_like=True):
    size: int
    mtime: int
    parameters: dict[str, str]
    aliases: list[str]
    exports: dict[str, int | None]


def facts_of(
    directory: str, paths: Mapping[str, str], what: str, progress: Progress | None
) -> list[ModuleFacts]:
    """Return the facts of modules, by name and file, those of ``directory``'s tree that changed
    read anew."""
    known = _load(directory)
    facts: dict[str, ModuleFacts] = {}
    stale: list[tuple[str, str]] = []
    sizes: dict[str, tuple[int, int]] = {}
    for name, path in sorted(paths.items()):
        with contextlib.suppress(OSError):
            status = os.stat(path)
            sizes[name] = status.st_size, status.st_mtime_ns
        kept = known.get(path)
        if kept is not None and sizes.get(name) == (kept.size, kept.mtime):
            facts[name] = ModuleFacts(name, kept.parameters, tuple(kept.aliases), kept.exports)
        else:
            stale.append((name, path))
    for fact in spread(lambda item: read_facts(*item), stale, what=what, progress=progress):
        facts[fact.name] = fact
    if stale:
        _save(directory, paths, facts, sizes)
    return [facts[name] for name in sorted(facts)]


def _cache_file(directory: str) -> Path:
    key = hashlib.sha256(os.fsencode(os.path.realpath(directory))).hexdigest()[:32]
    return files.cache_directory("facts") / key


def _load(directory: str) -> dict[str, _KeptFacts]:
    try:
        data = _cache_file(directory).read_bytes()
        return msgspec.msgpack.decode(data, type=dict[str, _KeptFacts])
    except (OSError, msgspec.DecodeError):
        return {}


def _save(
    directory: str,
    paths: Mapping[str, str],
    facts: Mapping[str, ModuleFacts],
    sizes: Mapping[str, tuple[int, int]],
) -> None:
    kept = {
        paths[name]: _KeptFacts(
            *sizes[name], fact.parameters, list(fact.aliases), dict(fact.exports or {})
        )
        for name, fact in facts.items()
        if name in sizes and not fact.problem
    }
    # No space, or a name that is no UTF-8: read anew next time.
    with contextlib.suppress(OSError, UnicodeEncodeError):
        files.write_atomic(_cache_file(directory), msgspec.msgpack.encode(kept))
