"""The protocol of a distribution's package tool, and running such a tool."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lkm.errors import ToolError

if TYPE_CHECKING:
    from lkm.kernels.unpack.folder import Progress

_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class KernelPackages:
    """The packages that hold one kernel's image and modules, and those with its headers."""

    release: str
    image: tuple[str, ...]
    headers: tuple[str, ...]


class PackageSource(Protocol):
    """Where a distribution's kernels come from; asking it needs no root and installs nothing."""

    def available(self) -> tuple[str, ...]:
        """Releases that can be fetched, oldest first."""
        ...

    def select(self, what: str) -> KernelPackages:
        """Find the packages of a release, flavour or series; NotFoundError if there are none."""
        ...

    def unpack(self, packages: Sequence[str], folder: Path, progress: Progress | None) -> None:
        """Download ``packages`` and unpack their files below ``folder``."""
        ...

    def unpack_c_library(self, folder: Path, progress: Progress | None) -> None:
        """Unpack the C library that the programs of the headers are linked with."""
        ...


def version_key(release: str) -> list[tuple[int, str]]:
    """Return a sort key that orders releases by their numbers."""
    parts = re.split(r"(\d+)", release)
    return [
        (int(number), text) for text, number in zip(parts[::2], [*parts[1::2], "-1"], strict=True)
    ]


def of_series(series: str, releases: Sequence[str]) -> list[str]:
    """Return those of ``releases`` that are of a series such as ``6.12``; none where it is none."""
    begins = re.compile(re.escape(series) + r"(?![0-9])")
    return [release for release in releases if series[:1].isdigit() and begins.match(release)]


def output(command: Sequence[str]) -> str:
    """Run ``command`` and return what it printed; ToolError when it is missing or fails."""
    if shutil.which(command[0]) is None:
        raise ToolError(f"no {command[0]} is installed", command=command)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(
            "a package tool failed", command=command, returncode=done.returncode,
            output=done.stderr, hint=done.stderr.strip(),
        )  # fmt: skip
    return done.stdout


def download(command: Sequence[str], folder: Path, total: int, progress: Progress | None) -> None:
    """Run ``command``, which downloads ``total`` bytes into ``folder``; ToolError if it fails."""
    with (
        tempfile.TemporaryFile("w+", errors="replace") as says,
        subprocess.Popen(command, cwd=folder, stdout=says, stderr=subprocess.STDOUT) as process,
    ):
        try:
            while process.poll() is None:
                if progress:
                    progress("downloading", _size(folder), total)
                time.sleep(_POLL_SECONDS)
        except BaseException:
            process.terminate()
            raise
        says.seek(0)
        said = says.read()
    if process.returncode:
        raise ToolError(
            "the download failed", command=command, returncode=process.returncode,
            output=said, hint=said.strip() or "is the network there?",
        )  # fmt: skip


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
