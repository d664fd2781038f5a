"""The doctor on one module, on a whole tree, and the matrix of a tree and every kernel here."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from pathlib import Path

from bench.common import Row, bounded, lkm, time_process
from lkm.operations import matrix as operation


def measure() -> list[Row]:
    known = [k for k in operation.kernels_named(["all"]) if k.modules is not None]
    own = [k for k in known if re.fullmatch(r"6\.1\.[0-9.]*-[0-9]+-amd64", k.release)][-1]
    assert own.modules is not None
    paths = operation.module_paths([str(own.modules)])
    return [*_one(own.release, own.modules), _own(own.release, own.modules, len(paths)),
            _matrix(own.modules, len(paths), [k.release for k in known][-6:])]  # fmt: skip


def _one(release: str, modules: Path) -> list[Row]:
    """Whole processes, the kernel's facts in the cache, as they are from the second use on."""
    (loop,) = modules.rglob("loop.ko*")
    rows = []
    for what, subject in (("a file", str(loop)), ("a name with dependencies", "btrfs")):
        command = lkm("doctor", subject, "--release", release)
        time_process(command)
        wall = statistics.median(time_process(command).wall for _ in range(7))
        rows.append(bounded(f"doctor on {what}, whole process", wall, most=0.3, unit="s"))
    return rows


def _own(release: str, modules: Path, count: int) -> Row:
    wall, text = _timed(modules, release)
    return bounded(
        f"{count} modules judged against their own kernel",
        wall,
        most=3.0,
        unit="s",
        note=text,
    )


def _matrix(modules: Path, count: int, releases: list[str]) -> Row:
    wall, text = _timed(modules, ",".join(releases))
    name = f"matrix of {count} modules and {len(releases)} kernels"
    return bounded(name, wall, most=30.0, unit="s", note=text)


def _timed(modules: Path, releases: str) -> tuple[float, str]:
    """Time the library's own call in a process of its own, without the interpreter's start."""
    code = (
        "import resource, sys, time\n"
        "from lkm.operations import matrix as m\n"
        "known = m.kernels_named(sys.argv[2].split(','))\n"
        "paths = m.module_paths([sys.argv[1]])\n"
        "start = time.perf_counter()\n"
        "found = m.matrix(paths, known)\n"
        "wall = time.perf_counter() - start\n"
        "good = sum(row.cells[0].distance is m.Distance.LOADS for row in found.rows)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(wall, good, used.ru_utime + used.ru_stime)\n"
    )
    command = [sys.executable, "-c", code, str(modules), releases]
    subprocess.run(command, check=True, capture_output=True)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    wall, good, cpu = done.stdout.split()
    return float(wall), f"{good} load on the first; {float(cpu):.2g} s of processor time"
