"""Module trees for the tests: a kernel's modules under a root of one's own, and the real depmod."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def outputs(folder: Path) -> dict[str, bytes]:
    """Return every index file there is in ``folder``, by name."""
    return {name: (folder / name).read_bytes() for name in OUTPUTS if (folder / name).exists()}


PARTS_OF_SMALL = ("kernel/drivers/usb/serial", "kernel/fs/fuse", "kernel/drivers/input/misc")


def small_tree(kernel: KernelFiles, root: Path) -> Path:
    """Make ``root`` a root with some 80 of ``kernel``'s modules; return the release's folder."""
    folder = root / "lib/modules" / kernel.release
    for part in PARTS_OF_SMALL:
        for source in sorted((kernel.modules / part).rglob("*.ko")):
            target = folder / source.relative_to(kernel.modules)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for name in INPUTS:
        shutil.copyfile(kernel.modules / name, folder / name)
    return folder


def lkm_depmod(
    root: Path, release: str, *options: str, cache: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run our own depmod on ``root``, with its cache in ``cache`` or without one."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)} if cache else None
    command = [sys.executable, "-m", "lkm", "depmod", "-b", str(root), *options, release]
    if not cache:
        command.insert(4, "--no-cache")
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def both(root: Path, release: str, *options: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return what kmod's depmod and then ours write on the same root; both must succeed.

    Their messages must be the same, too.
    """
    folder = root / "lib/modules" / release
    results = []
    for depmod in (kmod_depmod, lkm_depmod):
        for name in OUTPUTS:
            (folder / name).unlink(missing_ok=True)
        result = depmod(root, release, *options)
        results.append((result.returncode, sorted(result.stderr.splitlines()), outputs(folder)))
    (status, messages, theirs), (our_status, our_messages, ours) = results
    assert (our_status, our_messages) == (status, messages)
    return theirs, ours
