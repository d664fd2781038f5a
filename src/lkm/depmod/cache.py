"""Facts of a tree kept between runs of depmod, so that only changed modules are read again.

Two files below the cache directory: the small *state*, which suffices to see that nothing has
changed, and the *facts* of all modules. Both are in Python's own ``marshal`` format, the fastest
there is; being trusted so, they count only when this user owns them and nobody else can write
to them, and when they were written by this version of Python and of this format.
"""

from __future__ import annotations

import marshal
import os
import sys
import time
from binascii import crc32

from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from typing import Any

    from lkm.depmod.listings import Listing
    from lkm.depmod.signature import Signature
    from lkm.depmod.tree_facts import ModuleColumns

_FORMAT = 7
_PLAIN = 2  # the format of marshal that does not look for objects met before
_KEPT = 32  # trees; the ones not used for longest are forgotten
_STATE, _FACTS = ".state", ".facts"
_OTHERS_WRITE = 0o022


class CachedState(Record):
    """The state a run saw and left; a run that finds the same state has nothing to do."""

    circumstances: str
    """Rules and options, in one text."""
    paths: str
    """The modules in the directories' order, each ended by a NUL."""
    signatures: list[Signature]
    """Of the modules."""
    files: tuple[Signature | None, ...]
    """Signatures of the files read and written beside the modules."""
    messages: dict[str, list[tuple[str, str]]]
    """What was reported, by the part of the work it belongs to."""
    facts: int
    """The number of the facts the files were made of."""
    listings: dict[str, Listing]
    """What directories hold that have not changed for a while, by path."""

    def all_paths(self) -> list[str]:
        """Return ``paths`` one by one."""
        return self.paths.split("\0")[:-1]

    def by_path(self) -> dict[str, Signature]:
        """Return the signature of each module."""
        return dict(zip(self.all_paths(), self.signatures, strict=True))


class Cache:
    """The cache of one tree and one output directory."""

    def __init__(self, folder: str, directory: str, output: str) -> None:
        self._folder = folder
        self._tree = (directory, output)
        number = crc32("\0".join(self._tree).encode("utf-8", "surrogateescape"))
        self._stem = os.path.join(folder, f"{number:08x}")

    def load_state(self) -> CachedState | None:
        """Return the state the last run left, ``None`` when there is none that can be used."""
        content = self._load(_STATE)
        return None if content is None else CachedState(*content)

    def load_facts(self, number: int) -> ModuleColumns | None:
        """Return the facts the last run left, if they are those of that number."""
        from lkm.depmod.tree_facts import KnownSymbols, ModuleColumns  # not needed for the state

        content = self._load(_FACTS)
        if content is None or content[0] != number:
            return None
        _, known, columns = content
        facts = ModuleColumns(KnownSymbols(known.split(b"\0")[:-1]))
        (
            paths,
            facts.aliases,
            facts.softdeps,
            facts.weakdeps,
            facts.exports,
            facts.imports,
            exact,
            facts.problems,
        ) = columns
        facts.paths = paths.split("\0")[:-1]
        facts.exact = bytearray(exact)
        return facts

    def save_facts(self, facts: ModuleColumns) -> int:
        """Keep the facts of this run and return the number they got."""
        from lkm.depmod.module_facts import ended  # as above

        number = time.time_ns()
        known = ended(facts.known.numbers)
        columns = (
            "".join([f"{path}\0" for path in facts.paths]),
            facts.aliases,
            facts.softdeps,
            facts.weakdeps,
            facts.exports,
            facts.imports,
            bytes(facts.exact),
            facts.problems,
        )
        self._save(_FACTS, (number, known, columns))
        return number

    def save_state(self, state: CachedState) -> None:
        """Keep the state of this run, and forget trees not seen for long."""
        self._save(_STATE, tuple(state))
        self._forget()

    def _load(self, ending: str) -> tuple[Any, ...] | None:
        try:
            descriptor = os.open(self._stem + ending, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        with open(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)
            if status.st_uid != os.geteuid() or status.st_mode & _OTHERS_WRITE:
                return None
            data = file.read()
        head, body = data[:_HEAD_SIZE], memoryview(data)[_HEAD_SIZE:]
        if head != _head(body):
            return None
        tree, content = marshal.loads(body)
        return content if tree == self._tree else None

    def _save(self, ending: str, content: tuple[Any, ...]) -> None:
        body = marshal.dumps((self._tree, content), _PLAIN)
        temporary = f"{self._stem}{ending}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            with open(os.open(temporary, flags, 0o600), "wb", buffering=0) as file:
                file.write(_head(body))
                file.write(body)
            os.rename(temporary, self._stem + ending)
        except OSError:
            return  # no room or no permission: a cache that cannot be written is not needed

    def _forget(self) -> None:
        try:
            names = os.listdir(self._folder)
            if len(names) <= 2 * _KEPT:
                return
            paths = [os.path.join(self._folder, name) for name in names]
            paths.sort(key=os.path.getmtime)
            for path in paths[: len(names) - 2 * _KEPT]:
                os.unlink(path)
        except OSError:
            return  # another process is doing the same


def _head(body: bytes | memoryview) -> bytes:
    numbers = (_FORMAT, sys.hexversion, len(body), crc32(body))
    return b"".join([number.to_bytes(8, "little") for number in numbers])


_HEAD_SIZE = 4 * 8
