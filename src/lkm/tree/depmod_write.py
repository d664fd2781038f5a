"""Put the index files of a build into their folder, half of them from another process."""

from __future__ import annotations

from collections.abc import Callable, Collection

from lkm.tree.depmod_build import PARTS, Build
from lkm.tree.depmod_workers import Forked
from lkm.tree.index_folder import IndexFolder

Messages = dict[str, list[tuple[str, str]]]
"""What was reported, level and text, by the part of the work it belongs to."""

_APART = ("aliases", "symbols")  # these two take as long as all the rest


def write_parts(
    folder: IndexFolder,
    build: Build,
    parts: Collection[str],
    workers: int,
    meanwhile: Callable[[], None],
) -> Messages:
    """Put the files of ``parts`` and return the messages of each; runs ``meanwhile`` too.

    Raises ``CycleError``, and ``OSError`` when a file cannot be written.
    """
    apart = [part for part in _APART if part in parts]
    if workers < 2 or not apart:
        messages = {part: _put(folder, build, part) for part in PARTS if part in parts}
        meanwhile()
        return messages
    folder.expect(*(name for part in apart for name in PARTS[part]))
    helper = Forked(lambda _: iter([{part: _put(folder, build, part) for part in apart}]))
    answer = None
    try:
        messages = {
            part: _put(folder, build, part) for part in PARTS if part in parts and part not in apart
        }
        meanwhile()
    finally:
        answer = helper.result()
        helper.finish()
    if answer is None:
        # It died: of what, doing it here will tell.
        answer = {part: _put(folder, build, part) for part in apart}
    return messages | answer


def _put(folder: IndexFolder, build: Build, part: str) -> list[tuple[str, str]]:
    messages: list[tuple[str, str]] = []
    for name, data in build.files(part, lambda level, text: messages.append((level, text))):
        folder.put(name, data)
    return messages
