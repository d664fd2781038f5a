"""Failing each allocation of a module in turn, in a fresh kernel each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.kernel import Kernel
from lkm.operations.trial import events
from lkm.operations.trial.events import Outcome
from lkm.operations.trial.instruments import Instruments
from lkm.operations.trial.request import Procedure, Watching
from lkm.operations.trial.run import Run
from lkm.operations.trial.subject import Wanted

MOST = 500
"""The most allocations that are failed; a module with more is told so."""


def fail_each(
    machine: EmulatedMachine,
    wanted: Wanted,
    procedure: Procedure,
    allocations: int,
    emit: Callable[[events.Event], None],
    *,
    fast: bool = False,
) -> list[str]:
    """Fail allocation 1 to ``allocations`` of a module, rewinding between; return the problems."""
    problems = []
    for number in range(1, min(allocations, MOST) + 1):
        emit(events.Progress(f"failing allocation {number} of {allocations}"))
        tried = _fail_one(machine, wanted, procedure, number, fast)
        if tried is None:
            continue
        emit(tried)
        problems += problem(tried)
    if allocations > MOST:
        problems.append(f"it makes {allocations} allocations, of which {MOST} were failed")
    return problems


def _fail_one(
    machine: EmulatedMachine, wanted: Wanted, procedure: Procedure, number: int, fast: bool
) -> events.FailureTried | None:
    told: list[events.Event] = []
    machine.rewind()
    watching = Watching(fail=number, fast=fast)
    instruments = Instruments(machine, wanted.image, watching, told.append)
    run = Run(Kernel(machine), wanted, told.append, "", instruments)
    run.carry_out(procedure)
    failed = instruments.failed()
    return None if failed is None else verdict(failed, told)


def problem(tried: events.FailureTried) -> list[str]:
    """Return in words what is wrong with how a module took a failure; nothing if all is well."""
    if tried.outcome in (Outcome.CLEAN, Outcome.UNNOTICED):
        return []
    return [f"when allocation {tried.failed.number} fails: {tried.outcome}"]


def verdict(failed: events.Failed, told: Sequence[events.Event]) -> events.FailureTried:
    """Return the result of a failed allocation, judged by all events of that run."""
    refusals = [event for event in told if isinstance(event, events.Refused)]
    crashes = [event for event in told if isinstance(event, events.Crashed)]
    leaks = tuple(event for event in told if isinstance(event, events.Leaked))
    left = [entry for e in told if isinstance(e, events.LeftBehind) for entry in e.entries]
    error = next((refusal.error for refusal in refusals if refusal.error), "")
    if any(isinstance(event, events.Died) for event in told):
        outcome = Outcome.DIED
    elif any(refusal.signal for refusal in refusals):
        outcome = Outcome.CRASH
    elif leaks:
        outcome = Outcome.LEAK
    elif left:
        outcome = Outcome.LEFT
    else:
        outcome = Outcome.CLEAN if refusals else Outcome.UNNOTICED
    return events.FailureTried(
        failed, outcome, error, crashes[0] if crashes else None, leaks, tuple(left)
    )
