"""How a bench times things: whole processes, in turn with their peer, medians quoted."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the results: our figure, the peer's, their ratio, what was aimed at.

    ``ours`` and ``peer`` are in ``unit``; ``target`` is a text such as ``≤ 0.6 × `` or ``≤ 80 ms``;
    ``met`` says whether it was reached in this run.
    """

    name: str
    ours: float
    unit: str
    target: str
    met: bool
    peer: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.ours / self.peer if self.peer else None


@dataclass(frozen=True, slots=True)
class Timing:
    """One finished process: wall and processor seconds, peak memory in MiB."""

    wall: float
    cpu: float
    memory: float


def time_process(command: Sequence[str], **options: object) -> Timing:
    """Run ``command`` to its end with its output thrown away; children it waited for count too.

    What whoever ran before has left to be written to the disk is written first.
    """
    os.sync()
    start = time.perf_counter()
    process = subprocess.Popen(  # type: ignore[call-overload]
        list(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit status {process.returncode}: {' '.join(command)}")
    return Timing(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def alternate(
    ours: Callable[[], Timing], peer: Callable[[], Timing], runs: int = 11
) -> tuple[Timing, Timing]:
    """Run the two in turn, A B A B …, after one uncounted run of each; return their medians."""
    ours(), peer()
    pairs = [(ours(), peer()) for _ in range(runs)]
    return median([a for a, _ in pairs]), median([b for _, b in pairs])


def median(timings: Sequence[Timing]) -> Timing:
    """Return the median of each figure by itself."""
    return Timing(
        statistics.median(t.wall for t in timings),
        statistics.median(t.cpu for t in timings),
        statistics.median(t.memory for t in timings),
    )


def lkm(*arguments: str) -> list[str]:
    """Return the command line of our own command in this environment."""
    return [os.path.join(os.path.dirname(sys.executable), "lkm"), *arguments]


def bounded(
    name: str,
    ours: float,
    *,
    unit: str,
    most: float | None = None,
    least: float | None = None,
    peer: float | None = None,
    note: str = "",
) -> Row:
    """Return a row with one bound: ``most`` of ours, or of ours / peer where there is a peer;
    ``least`` of ours, or of peer / ours.
    """
    if most is not None:
        value, target = (ours / peer, f"≤ {most:g} ×") if peer else (ours, f"≤ {most:g} {unit}")
        return Row(name, ours, unit, target, value <= most, peer, note)
    assert least is not None
    value, target = (
        (peer / ours, f"≥ {least:g} × faster") if peer else (ours, f"≥ {least:g} {unit}")
    )
    return Row(name, ours, unit, target, value >= least, peer, note)
