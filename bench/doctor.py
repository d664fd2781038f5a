"""The doctor on one module, on a whole tree, and the matrix of a tree and six kernels."""

from __future__ import annotations

import fnmatch
import statistics
import subprocess
import sys
from pathlib import Path

from bench.common import Row, bounded, lkm, time_process
from lkm.operations import matrix as operation

_KERNELS = ("6.1.*[0-9]-amd64", "6.1.*-cloud-amd64", "6.1.*-rt-amd64", "6.1.0-47-amd64",
            "6.1.0-50-amd64", "6.12.*[0-9]-amd64")  # fmt: skip
"""Those of ``tools/kernels bench``; the modules are the first one's own."""


def measure() -> list[Row]:
    known = [k for k in operation.kernels_named(["all"]) if k.modules is not None]
    chosen = [
        [k for k in known if fnmatch.fnmatchcase(k.release, pattern)][-1:] for pattern in _KERNELS
    ]
    if not all(chosen):
        raise SystemExit(f"kernels are missing of {', '.join(_KERNELS)}; run tools/kernels bench")
    six = [kernel for found in chosen for kernel in found]
    release, modules = six[0].release, six[0].modules
    assert modules is not None
    count = len(operation.module_paths([str(modules)]))
    matrix = _matrix(modules, count, [kernel.release for kernel in six])
    return [*_one(release, modules), _own(release, modules, count), matrix]


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
        "loads = m.Distance.LOADS\n"
        "good = [sum(r.cells[i].distance is loads for r in found.rows)"
        " for i in range(len(found.releases))]\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "text = ', '.join(f'{n} load on {r}' for n, r in zip(good, found.releases) if n)\n"
        "others = good.count(0)\n"
        "text += f', none on the {others} others' if others else ''\n"
        "print(wall, used.ru_utime + used.ru_stime, text)\n"
    )
    command = [sys.executable, "-c", code, str(modules), releases]
    subprocess.run(command, check=True, capture_output=True)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    wall, cpu, good = done.stdout.rstrip().split(" ", 2)
    return float(wall), f"{good}; {float(cpu):.2g} s of processor time"
