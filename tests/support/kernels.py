"""The distribution kernels the tests run on, as `lkm kernels fetch` leaves them in the cache."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from lkm import files
from lkm.kernels.known import image_of, known_kernels


@dataclass(frozen=True, slots=True)
class KernelFiles:
    """One fetched kernel: a root directory that holds its image, modules and perhaps headers."""

    release: str
    root: Path

    @property
    def modules(self) -> Path:
        return self.root / "lib/modules" / self.release

    @property
    def vmlinuz(self) -> Path:
        image = image_of(self.root, self.release)
        assert image is not None, f"{self.root} has no kernel image"
        return image

    @property
    def headers(self) -> Path:
        """The directory to give to kbuild as KDIR."""
        fetched = self.modules / "build"
        return (
            fetched
            if (fetched / "Makefile").exists()
            else Path("/lib/modules", self.release, "build")
        )


SERIES = (
    "6.1.",
    "6.12.",
    pytest.param("5.10.", marks=pytest.mark.full),
    pytest.param("7.", marks=pytest.mark.full),
)
"""The series there are, the oldest and the newest where ``tools/kernels full`` has fetched them."""


def _numbers(release: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", release)]


def fetched() -> list[KernelFiles]:
    """Return every fetched kernel whose image runs on this machine, oldest release first."""
    return [
        KernelFiles(known.release, known.root)
        for known in known_kernels()
        if known.fetched and known.vmlinuz and not known.release.endswith("arm64")
    ]


@functools.cache
def kernel_files(series: str = "6.1.", flavour: str = "amd64") -> KernelFiles:
    """Return the newest fetched kernel whose release is ``SERIES…-FLAVOUR``."""
    folder = files.cache_directory("kernels")
    pattern = re.compile(re.escape(series) + r"[0-9.+debu-]*-" + re.escape(flavour) + "$")
    releases = [p.name for p in folder.iterdir() if pattern.fullmatch(p.name)]
    assert releases, f"no {series}*-{flavour} kernel is fetched; run `make kernels`"
    release = max(releases, key=_numbers)
    return KernelFiles(release, folder / release)
