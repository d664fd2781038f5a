"""From a kernel image to a running machine: from the snapshot, or booted once to make it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import unicorn

from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.emulated.start import cache
from lkm.kernel.emulated.start.command_line import complete
from lkm.kernel.providers import from_tree

_BOOT_SECTOR = 4096
_REVISION = "14"
"""Changed when what is booted, or how, changes."""

Progress = Callable[[str], None]


def open_machine(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    command_line: str = "",
    progress: Progress | None = None,
) -> EmulatedMachine:
    """See :func:`lkm.kernel.emulated.open_machine`."""
    data = Path(path).read_bytes()
    text = complete(command_line)
    digest = hashlib.sha256(data).hexdigest()
    key = cache.key(_REVISION, unicorn.__version__, os.uname().machine, digest, text)

    def tell(text: str) -> None:
        if progress:
            progress(text)

    def build() -> cache.Writer:
        # Only who boots pays for importing what knows images, types and patches.
        from lkm.kernel.emulated.start.first_boot import first_boot
        from lkm.vmlinux.image import open_cached

        image = open_cached(path)
        tell(f"booting {image.release} for the first time")
        return first_boot(image, data[:_BOOT_SECTOR], text)

    snapshot = cache.obtain(key, build, lambda: tell("waiting for another process to boot it"))
    machine = EmulatedMachine(snapshot, os.fspath(path))
    if root is not None:
        machine.answer_requests(from_tree(root, machine.release))
    return machine
