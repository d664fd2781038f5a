"""``python -m tests.support.hostile KERNEL SECONDS CASE…``: try what is hostile, one by one.

A CASE is ``HOW`` or ``HOW:WHERE`` of ``tests/modules/hostile.c``. For each a line of JSON says how
the trial ended, after how long, and how much memory this process has taken so far, in bytes.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import click

from lkm.cli.try_text import _lines
from lkm.errors import LkmError
from lkm.operations.trial import events
from lkm.operations.trial.request import Action
from tests.support.kernels import kernel_files
from tests.support.modules import built
from tests.support.trying import Told, attempt

ACTIONS = tuple(Action("read", name) for name in ("escapes", "too_much"))


def run_case(kernel: str, seconds: float, case: str) -> dict[str, object]:
    """Try one case and return what came of it."""
    how, _, where = case.partition(":")
    started = time.monotonic()
    told = Told()
    try:
        told = attempt(
            built("hostile"),
            f"how={how}",
            f"where={where or 'init'}",
            kernel=f"{kernel}:{kernel_files().release}",
            actions=ACTIONS,
            timeout=seconds,
        )
        finished = told.one(events.Finished)
        outcome, words = "finished", list(finished.problems)
    except LkmError as error:
        outcome, words = type(error).__name__, [str(error)]
    return {
        "case": case,
        "outcome": outcome,
        "words": words[:20],
        "seconds": time.monotonic() - started,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
        "machine memory": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10,
        "printable": all(map(_clean, told)),
    }


def _clean(event: events.Event) -> bool:
    """Whether what is printed of an event is one line of printable text each."""
    if isinstance(event, events.Progress):
        return event.what.isprintable()
    lines = map(click.unstyle, _lines(event))
    return all(line.replace("\t", " ").isprintable() for line in lines)


def main() -> None:
    """Try every case that is named."""
    kernel, seconds, *cases = sys.argv[1:]
    for case in cases:
        print(json.dumps(run_case(kernel, float(seconds), case)), flush=True)


if __name__ == "__main__":
    main()
