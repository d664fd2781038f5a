"""Reading modules: ``lkm modinfo`` and the reader beneath it, against kmod's modinfo."""

from __future__ import annotations

import shutil
import sys

from bench.common import Row, alternate, bounded, lkm, time_process
from tests.support.kernels import kernel_files

SCAN = """
import gc, sys
gc.disable()
from lkm.module.image import ModuleImage
for path in sys.argv[1:]:
    ModuleImage.open(path).modinfo
"""


def measure() -> list[Row]:
    paths = sorted(map(str, kernel_files().modules.rglob("*.ko")))
    kmod = shutil.which("modinfo") or "modinfo"
    ours, peer = alternate(
        lambda: time_process(lkm("modinfo", *paths)), lambda: time_process([kmod, *paths])
    )
    scan, scan_peer = alternate(
        lambda: time_process([sys.executable, "-I", "-c", SCAN, *paths]),
        lambda: time_process([kmod, *paths]),
    )
    one, one_peer = alternate(
        lambda: time_process(lkm("modinfo", paths[0])), lambda: time_process([kmod, paths[0]]), 11
    )
    start, _ = alternate(
        lambda: time_process([sys.executable, "-c", "pass"]), lambda: time_process([kmod, "-V"]), 11
    )
    every = f"of {len(paths)} modules"
    return [
        bounded(f"modinfo {every}, CPU", ours.cpu, most=1.5, unit="s", peer=peer.cpu),
        bounded(f"modinfo {every}, wall", ours.wall, most=1.5, unit="s", peer=peer.wall),
        bounded(
            f"header and .modinfo {every}, CPU", scan.cpu, most=1.0, unit="s", peer=scan_peer.cpu
        ),
        bounded(
            "`lkm modinfo FILE`, a process",
            one.wall * 1000,
            most=80,
            unit="ms",
            note=f"Python alone {start.wall * 1000:.0f} ms, kmod {one_peer.wall * 1000:.1f} ms",
        ),
    ]
