"""The machine's own tools and ours, run the same way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def kmod(tool: str, *arguments: object, folder: Path | None = None) -> tuple[int, bytes, bytes]:
    """Run the machine's own ``tool``; return status, output, errors."""
    return _run([tool, *arguments], folder)


def lkm(*arguments: object, folder: Path | None = None) -> tuple[int, bytes, bytes]:
    """Run our command in a process of its own; return status, output, errors."""
    return _run([sys.executable, "-m", "lkm", *arguments], folder)


def _run(command: list[object], folder: Path | None) -> tuple[int, bytes, bytes]:
    result = subprocess.run(
        list(map(str, command)), capture_output=True, check=False, cwd=folder, timeout=600
    )
    return result.returncode, result.stdout, result.stderr
