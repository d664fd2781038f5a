"""Our own small modules (``tests/modules/*.c``), built by the kernel's own kbuild."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from lkm.build import toolchain
from tests.support.kernels import KernelFiles, kernel_files

SOURCES = Path(__file__).parent.parent / "modules"
OUTPUT = Path(__file__).parent.parent.parent / ".build/modules"


def names() -> list[str]:
    """The modules there are."""
    return sorted(path.stem for path in SOURCES.glob("*.c"))


def built(name: str, kernel: KernelFiles | None = None) -> Path:
    """Return ``NAME.ko`` built for ``kernel`` (the newest fetched 6.1 one).

    All modules are built at once, the first time and when a source has changed; processes of one
    test run wait for each other.
    """
    return _built_folder(kernel or kernel_files()) / f"{name}.ko"


def distributed(name: str) -> Path:
    """Return ``NAME.ko`` as the distribution built it for the newest fetched 6.1 kernel."""
    return next(kernel_files().modules.rglob(f"{name}.ko"))


@functools.cache
def _built_folder(kernel: KernelFiles) -> Path:
    folder = OUTPUT / kernel.release
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = folder / ".built"
        fingerprint = _fingerprint(kernel)
        if not stamp.exists() or stamp.read_text() != fingerprint:
            stamp.unlink(missing_ok=True)
            _build(folder, kernel)
            stamp.write_text(fingerprint)
    return folder


def _fingerprint(kernel: KernelFiles) -> str:
    """Two kernels of our own may have one release."""
    digest = hashlib.sha256(os.fsencode(kernel.root))
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _build(folder: Path, kernel: KernelFiles) -> None:
    for path in folder.glob("*.[cho]*"):
        path.unlink()
    for path in SOURCES.iterdir():
        shutil.copy(path, folder)
    (folder / "Kbuild").write_text("".join(f"obj-m += {name}.o\n" for name in names()))
    command = ["make", "-C", str(kernel.headers), f"M={folder}", f"-j{os.cpu_count()}"]
    # Some of them need symbols that no kernel has, which is what they are for.
    command += ["KBUILD_MODPOST_WARN=1", *toolchain.choose(kernel.headers).variables, "modules"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
