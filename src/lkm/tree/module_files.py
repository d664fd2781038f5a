"""The module files below a directory, wherever nothing but their names decides.

depmod's own search (``lkm.depmod.walk``) keeps the directories' order and takes part in rules.
"""

from __future__ import annotations

import os

from lkm.module.names import is_module_file

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUILD_LINKS = frozenset({"build", "source"})
"""What a release's directory has beside modules: the way to its headers."""


def module_files(
    directory: str | os.PathLike[str],
    *,
    skip: frozenset[str] = frozenset(),
    follow: bool = False,
    failed: Callable[[OSError], None] = lambda error: None,
) -> Iterator[os.DirEntry[str]]:
    """Yield the module files below ``directory``, those of each directory by name.

    Directories called as in ``skip`` are passed over, links to directories are followed if
    ``follow``; one that cannot be listed is reported to ``failed``.
    """
    folders = [os.fspath(directory)]
    while folders:
        try:
            with os.scandir(folders.pop()) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            failed(error)
            continue
        for entry in entries:
            if entry.name not in skip and entry.is_dir(follow_symlinks=follow):
                folders.append(entry.path)
            elif is_module_file(entry.name):
                yield entry
