"""A request to depmod, its outcome, and the index files by part of the work."""

from __future__ import annotations

from lkm.depmod.signature import file_signature
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lkm.depmod.rules import Report
    from lkm.depmod.signature import Signature

    Messages = dict[str, list[tuple[str, str]]]
    """What was reported, level and text, by the part of the work it belongs to."""

    Progress = Callable[[int, int], None]
    """Called with the number of modules begun and their total."""

PARTS = {
    "dependencies": ("modules.dep", "modules.dep.bin"),
    "aliases": ("modules.alias", "modules.alias.bin"),
    "symbols": ("modules.symbols",),
    "symbol trie": ("modules.symbols.bin",),
    "builtin": ("modules.builtin.bin", "modules.builtin.alias.bin"),
    "small": ("modules.softdep", "modules.weakdep", "modules.devname"),
}
"""The parts of the work, in kmod's order, and the files each makes."""

INPUTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")
OUTPUTS = tuple(name for names in PARTS.values() for name in names)


class IndexRequest(Record):
    """A tree to index: the release's ``directory`` of modules, and the folder of the index files.

    ``config`` are depmod.d's directories (or files), the strongest first; ``cache`` is the folder
    for facts kept between runs, empty for none; ``workers`` how many processes may work at once.
    """

    directory: str
    release: str
    output: str
    config: tuple[str, ...]
    cache: str = ""
    workers: int = 1
    busy: bool = False
    """Whether other processes want all processors: then only packed modules are shared out."""
    warn_twice: bool = False
    files: tuple[str, ...] = ()
    """Only these modules, by absolute paths, instead of a search."""
    prefix: bytes = b""
    """A character that the architecture puts before C symbols."""
    kernel_symbols: Mapping[bytes, int] | None = None
    """The kernel's own symbols and CRCs: those neither it nor a module has are reported."""
    check_crcs: bool = False


class IndexOutcome(Record):
    """The result of a run: the number of modules, of modules read, and the files written.

    ``cycles`` are paths of module names that end where they begin; with any, nothing is written.
    """

    modules: int
    read: int
    written: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...] = ()


def reporter(messages: Messages, part: str) -> Report:
    """Return a function that notes messages as belonging to a part of the work."""
    own = messages.setdefault(part, [])
    return lambda level, text: own.append((level, text))


def files_now(request: IndexRequest) -> tuple[Signature | None, ...]:
    """Return the signatures of what is read and written beside the modules."""
    return tuple(
        file_signature(f"{folder}/{name}")
        for folder, names in ((request.directory, INPUTS), (request.output, OUTPUTS))
        for name in names
    )
