"""What a trial cannot have found, so that nobody takes silence for a clean bill of health."""

from __future__ import annotations

from collections.abc import Sequence

from lkm.operations.trial import events

_MOST_FILES = 3
_ALWAYS = {
    "emulated": (
        "races between processors",
        "hardware",
        "overflow of static and stack memory",
        "calls through pointers",
    ),
    "vm": ("memory accesses, locks and leaks (--kernel emulated)", "hardware"),
    "live": ("memory accesses, locks and leaks (--kernel emulated)",),
}


def left_out(kind: str, told: Sequence[events.Event]) -> list[str]:
    """Return in words what was not looked at in a kernel of that kind, by what was told of it."""
    acted = any(isinstance(event, events.Acted) for event in told)
    made = [
        entry.path
        for event in told
        if isinstance(event, events.Appeared) and not acted
        for entry in event.entries
        if "device " in entry.kind or entry.path.startswith(("/proc/", "/sys/kernel/debug/"))
    ]
    more = f" and {len(made) - _MOST_FILES} more" if len(made) > _MOST_FILES else ""
    files = [f"{', '.join(made[:_MOST_FILES])}{more} (--read, --write)"] if made else []
    loaded = any(isinstance(event, events.Loaded) for event in told)
    unloaded = any(isinstance(event, events.Unloaded) for event in told)
    died = any(isinstance(event, events.Died | events.Refused) for event in told)
    kept = ["unloading"] if loaded and not unloaded and not died else []
    return [*files, *kept, *_ALWAYS.get(kind, ())]
