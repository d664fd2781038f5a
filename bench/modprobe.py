"""Resolving names: ``lkm modprobe -D`` as a process, and the resolver beneath it."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path

from bench.common import Row, alternate, bounded, lkm, time_process
from lkm.operations.resolve import open_kmod_resolver
from lkm.tree.resolver import Resolver
from tests.support.kernels import kernel_files
from tests.support.trees import kmod_depmod, linked_tree

NAME = "ext4"


def measure() -> list[Row]:
    kernel = kernel_files()
    with tempfile.TemporaryDirectory() as folder:
        linked_tree(kernel, Path(folder))
        kmod_depmod(Path(folder), kernel.release)
        where = ["-d", folder, "-S", kernel.release]
        modprobe = shutil.which("modprobe") or "modprobe"
        ours, peer = alternate(
            lambda: time_process(lkm("modprobe", *where, "-D", NAME)),
            lambda: time_process([modprobe, *where, "-D", NAME]),
            runs=15,
        )
        names = _names(Path(folder, "lib/modules", kernel.release, "modules.dep"))
        first, again = _rates(folder, kernel.release, names)
    count = f"{len(names)} names"
    kmod = f"kmod {peer.wall * 1000:.1f} ms"
    return [
        bounded(
            f"`lkm modprobe -D {NAME}`, a process", ours.wall * 1000, most=80, unit="ms", note=kmod
        ),
        bounded(
            "resolutions in process",
            again,
            least=50_000,
            unit="per s",
            note=f"{count}, asked again",
        ),
        Row("resolutions in process, each name for the first time", first, "per s", "–", True),
    ]


def _names(index: Path) -> list[str]:
    paths = [line.partition(":")[0] for line in index.read_text().splitlines()]
    return [Path(path).name.partition(".")[0] for path in paths]


def _rates(folder: str, release: str, names: list[str]) -> tuple[float, float]:
    """Resolutions a second: by a resolver that is new, and by one that has seen every name."""
    resolvers = [open_kmod_resolver(folder, release) for _ in range(5)]
    first = [_rate(resolver, names) for resolver in resolvers]
    again = [_rate(resolver, names) for resolver in resolvers]
    return statistics.median(first), statistics.median(again)


def _rate(resolver: Resolver, names: list[str]) -> float:
    start = time.perf_counter()
    for name in names:
        resolver.resolve(name)
    return len(names) / (time.perf_counter() - start)
