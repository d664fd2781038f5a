"""Module trees for the tests: a kernel's modules under a root of one's own, and the real depmod."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.kernels import KernelFiles

INPUTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")
TEXTS = (
    "modules.dep",
    "modules.alias",
    "modules.softdep",
    "modules.symbols",
    "modules.devname",
)
TRIES = (
    "modules.dep.bin",
    "modules.alias.bin",
    "modules.symbols.bin",
    "modules.builtin.bin",
    "modules.builtin.alias.bin",
)
OUTPUTS = TEXTS + TRIES


def linked_tree(kernel: KernelFiles, root: Path) -> Path:
    """Make ``root`` a root whose modules are ``kernel``'s own files; return the release's folder.

    The folder itself is new, so that indexes can be written into it.
    """
    folder = root / "lib/modules" / kernel.release
    folder.mkdir(parents=True)
    (folder / "kernel").symlink_to(kernel.modules / "kernel")
    for name in INPUTS:
        shutil.copyfile(kernel.modules / name, folder / name)
    return folder


def kmod_depmod(root: Path, release: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the machine's own depmod on ``root``."""
    command = ["depmod", "-b", str(root), *options, release]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def outputs(folder: Path) -> dict[str, bytes]:
    """Return every index file there is in ``folder``, by name."""
    return {name: (folder / name).read_bytes() for name in OUTPUTS if (folder / name).exists()}
