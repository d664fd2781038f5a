"""A small kernel built from source: it does what no distribution's kernel does."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

from tests.support.kernels import KernelFiles

_BUILD = Path(__file__).parents[2] / "tools/own-kernel"


@functools.cache
def own_kernel() -> KernelFiles:
    """Return the kernel that ``tools/own-kernel`` builds: at once, or in minutes the first time.

    One processor, hardly an option on, no module of its own; it refuses a module whose BTF was
    made against another vmlinux (``CONFIG_MODULE_ALLOW_BTF_MISMATCH`` is off).
    """
    done = subprocess.run([_BUILD], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{_BUILD}\n{done.stdout}\n{done.stderr}"
    root = Path(done.stdout.splitlines()[-1])
    (modules,) = (root / "lib/modules").iterdir()
    return KernelFiles(modules.name, root)
