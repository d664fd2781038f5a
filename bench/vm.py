"""Virtual machines: a fresh one's first answer, a whole ``lkm try``, and virtme-ng beside them."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.common import Row, bounded, lkm, time_process
from lkm.kernel.open import open_kernel
from tests.support.kernels import KernelFiles, kernel_files

VIRTME = "virtme-ng==1.42"
VENV = Path(__file__).parent.parent / ".build/bench/virtme-ng"


def measure() -> list[Row]:
    kernel = kernel_files()
    where = f"vm:{kernel.release}"
    _first_answer(where)  # boots it, where no snapshot is kept
    answer = statistics.median(_first_answer(where) for _ in range(15))
    ours, theirs = _one_command(kernel)
    loop = str(kernel.modules / "kernel/drivers/block/loop.ko")
    try_loop = ["--kernel", where, "try", loop]
    time_process(lkm(*try_loop))
    whole = statistics.median(time_process(lkm(*try_loop)).wall for _ in range(9))
    return [
        bounded("fresh VM to its first answer", answer * 1000, most=300, unit="ms"),
        bounded("`lkm --kernel vm try loop`, whole process", whole, most=1.0, unit="s"),
        bounded(
            "`lkm vm run -- uname -r`, whole process, against virtme-ng",
            ours,
            least=10,
            unit="s",
            peer=theirs,
            note=f"{VIRTME}, the same kernel, no KVM",
        ),
    ]


def _first_answer(where: str) -> float:
    start = time.perf_counter()
    with open_kernel(where) as kernel:
        _ = kernel.release
        return time.perf_counter() - start


def _one_command(kernel: KernelFiles) -> tuple[float, float]:
    """Return the medians of running ``uname -r`` in a machine, ours and virtme-ng's in turn."""
    environment = _virtme_environment()
    own = lkm("vm", "run", "--kernel", kernel.release, "--", "uname", "-r")
    # Its own console is where the output goes on a kernel without virtio-serial built in, and its
    # exit status is then 255 whatever happened: the output is what shows that it ran.
    other = ["vng", "--run", str(kernel.vmlinuz), "--disable-kvm", "--disable-microvm"]
    other += ["--force-9p", "--verbose", "--exec", "uname -r"]
    ours, theirs = [], []
    for _ in range(3):
        ours.append(_timed(own, kernel.release, dict(os.environ)))
        theirs.append(_timed(other, kernel.release, environment))
    return statistics.median(ours), statistics.median(theirs)


def _timed(command: list[str], expected: str, environment: dict[str, str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    elapsed = time.perf_counter() - start
    if expected.encode() not in done.stdout.split():
        raise SystemExit(f"{command} did not run: {done.stdout.decode(errors='replace')[-500:]}")
    return elapsed


def _virtme_environment() -> dict[str, str]:
    """Install virtme-ng into an environment of its own, and return variables that find it."""
    if not (VENV / "bin/vng").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run([str(VENV / "bin/pip"), "install", "--quiet", VIRTME], check=True)
    return {**os.environ, "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}"}
