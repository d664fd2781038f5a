"""Indexing a kernel's modules: ``lkm depmod`` against kmod's depmod, in the same run."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.common import Row, Timing, alternate, bounded, lkm, time_process
from lkm.module.compression import Compression, compress
from tests.support.kernels import KernelFiles, kernel_files
from tests.support.trees import linked_tree

ADDED = "drivers/net/ethernet/intel/e1000e/e1000e.ko"


@dataclass
class Bench:
    """One root; kmod and ours write into the same folder, ours with a cache of its own."""

    root: Path
    release: str
    cache: Path

    @property
    def folder(self) -> Path:
        return self.root / "lib/modules" / self.release

    def kmod(self) -> Timing:
        return time_process(["depmod", "-b", str(self.root), self.release])

    def ours(self) -> Timing:
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.cache)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
        command = lkm("depmod", "-b", str(self.root), self.release)
        return time_process(command, env=environment)

    def ours_anew(self) -> Timing:
        """Run ours with nothing kept from before; it keeps what it finds, as ever."""
        self.forget()
        return self.ours()

    def forget(self) -> None:
        shutil.rmtree(self.cache, ignore_errors=True)
        self.cache.mkdir()

    def evicted(self, run: Callable[[], Timing]) -> Timing:
        """Run after the modules were dropped from the page cache."""
        os.sync()
        for path in (self.folder / "kernel").resolve().rglob("*.ko*"):
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
        return run()

    def one_added(self, run: Callable[[], Timing]) -> Timing:
        """Run after a module was put into updates/, as DKMS does."""
        added = self.folder / "updates/dkms" / Path(ADDED).name
        added.unlink(missing_ok=True)
        run()
        added.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.folder / "kernel" / ADDED, added)
        return run()


@contextmanager
def bench(kernel: KernelFiles) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        linked_tree(kernel, root)
        yield Bench(root, kernel.release, Path(folder, "cache"))


def pack(bench: Bench, compression: Compression) -> None:
    """Replace the tree's modules by packed copies."""
    link = bench.folder / "kernel"
    source = link.resolve()
    link.unlink()
    for path in source.rglob("*.ko"):
        target = link / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        packed = compress(path.read_bytes(), compression)
        target.with_name(path.name + compression.suffix).write_bytes(packed)


def both(what: str, ours: Timing, peer: Timing, cpu: float | None, wall: float) -> list[Row]:
    rows = [bounded(f"{what}, wall", ours.wall, most=wall, unit="s", peer=peer.wall)]
    if cpu is not None:
        rows.append(bounded(f"{what}, CPU", ours.cpu, most=cpu, unit="s", peer=peer.cpu))
    return rows


def plain() -> list[Row]:
    with bench(kernel_files()) as here:
        count = len(list((here.folder / "kernel").resolve().rglob("*.ko")))
        warm = alternate(here.ours_anew, here.kmod, 15)
        cold = alternate(lambda: here.evicted(here.ours_anew), lambda: here.evicted(here.kmod), 5)
        # kmod's run replaces the files, which ours then has to write again before it can rest.
        same = alternate(lambda: (here.ours(), here.ours())[1], here.kmod, 15)
        added = alternate(lambda: here.one_added(here.ours), here.kmod, 11)
    what = f"depmod, {count} modules"
    return [
        *both(f"{what}, all read", *warm, 0.60, 0.45),
        bounded(
            f"{what}, peak memory of a process",
            warm[0].memory,
            most=1.0,
            unit="MiB",
            peer=warm[1].memory,
        ),
        *both(f"{what}, page cache evicted", *cold, None, 0.6),
        *both(f"{what}, nothing changed", *same, 0.1, 0.1),
        *both(f"{what}, one added", *added, None, 0.25),
    ]


def packed() -> list[Row]:
    with bench(kernel_files()) as here:
        pack(here, Compression.ZSTD)
        zstd = alternate(here.ours_anew, here.kmod, 9)
    with bench(kernel_files("6.12.", "amd64")) as here:
        xz = alternate(here.ours_anew, here.kmod, 3)
    return [
        *both("depmod, zstd", *zstd, None, 0.6),
        *both("depmod, xz (Debian's 6.12)", *xz, None, 0.75),
    ]


def measure() -> list[Row]:
    return [*plain(), *packed()]
