"""What a run may take, and how much of it its processes have taken."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from lkm.web.contract.answers import RunLimits
from lkm.web.guard import BODY_LIMIT

USUAL = RunLimits(
    runs=2,
    seconds=90.0,
    processor_seconds=120.0,
    memory=3 << 30,
    output=8 << 20,
    body=BODY_LIMIT,
)
_LONG = {
    # A virtual machine that boots through firmware twice, without KVM; a download.
    "secure-boot": replace(USUAL, seconds=1200.0, processor_seconds=2400.0, memory=6 << 30),
    "fetch": replace(USUAL, seconds=3600.0, processor_seconds=1200.0),
}
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of a session have taken: processor seconds, resident bytes."""

    processor_seconds: float
    memory: int


def of(view: str) -> RunLimits:
    """Return the limits of a view's runs."""
    return _LONG.get(view, USUAL)


def exceeded(usage: Usage, limits: RunLimits) -> str:
    """Return in words which limit is passed; empty while none is."""
    if usage.processor_seconds > limits.processor_seconds:
        return f"limit: it took more than {limits.processor_seconds:g} seconds of processor time"
    if usage.memory > limits.memory:
        return f"limit: it took more than {limits.memory >> 20} MB of memory"
    return ""


def processes(session: int) -> list[int]:
    """Return the processes of a session, its leader too."""
    return [pid for pid, fields in _stats() if int(fields[3]) == session]


def usage(session: int) -> Usage:
    """Return what a session's processes have taken, children that ended included."""
    ticks = pages = 0
    for _, fields in _stats():
        if int(fields[3]) == session:
            ticks += sum(map(int, fields[11:15]))
            pages += int(fields[21])
    return Usage(ticks / _TICKS, pages * _PAGE)


def _stats() -> list[tuple[int, list[str]]]:
    """Return pid and the fields of /proc/PID/stat from the third on (proc_pid_stat(5))."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                found.append((int(name), file.read().rpartition(")")[2].split()))
        except OSError:
            continue  # it ended meanwhile
    return found
