"""The index files of a fetched kernel, which its package leaves to depmod."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

Progress = Callable[[str, int, int], None]


def ensure(root: Path, release: str, progress: Progress | None = None) -> None:
    """Write ``modules.dep`` and its like below ``root`` unless they are there.

    Takes seconds where modules are compressed; processes that do the same wait for each other.
    Only for a root that is lkm's own: one's machine is indexed by ``lkm depmod``.
    """
    directory = root / "lib/modules" / release
    written = directory / "modules.dep.bin"
    if written.exists() or not (directory / "kernel").is_dir():
        return

    # Only the first use of a kernel needs depmod.
    from lkm.tree.depmod import index_tree
    from lkm.tree.depmod_request import Request
    from lkm.tree.depmod_workers import processors

    def tell(done: int, total: int) -> None:
        if progress:
            progress(f"indexing the modules of {release}", done, total)

    with open(root / ".index.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if written.exists():
            return
        request = Request(
            directory=os.fspath(directory),
            release=release,
            output=os.fspath(directory),
            config=(),
            workers=processors(),
        )
        index_tree(request, lambda _level, _text: None, tell)
