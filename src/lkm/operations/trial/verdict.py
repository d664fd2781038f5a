"""What a trial comes to: one headline, the cause, the source line, what to do."""

from __future__ import annotations

from collections.abc import Sequence

from lkm.operations.trial import events
from lkm.operations.trial.events import Event, Phase, TrialVerdict, VerdictKind

_RANKS = (VerdictKind.GOOD, VerdictKind.PROBLEM, VerdictKind.REFUSED, VerdictKind.DIED)
_WORDS = {
    "overflow": "writes or reads beyond the end of its memory",
    "underflow": "writes or reads before the start of its memory",
    "use-after-free": "uses memory after freeing it",
    "double-free": "frees the same memory twice",
}
_ADVICE = {
    "overflow": ("compare the index or length with the size of what was allocated",),
    "use-after-free": ("free it when nothing can use it any more",),
    "double-free": ("free it in one place, or set the pointer to NULL after freeing",),
}

_RULES = {
    "sleep": ("sleeps where that is forbidden", "allocate with GFP_ATOMIC, sleep after unlocking"),
    "deadlock": ("waits for a lock that will never be free", "unlock it on the way there"),
    "lock order": ("takes locks in two orders", "always take them in the same order"),
    "lock context": ("takes a lock that an interrupt takes too", "disable what can interrupt"),
    "lock held": ("keeps a lock", "unlock on every way out, the error paths too"),
    "stray unlock": ("unlocks what is not locked", "unlock only where it was locked"),
    "user pointer": ("uses a user-space pointer directly", "use copy_from_user, copy_to_user"),
    "init memory": ("uses memory of its init after that was freed", "take __init off it"),
    "unloaded": (
        "is used after it was unloaded",
        "delete timers, stop threads, cancel work, unregister in the exit function",
    ),
    "information leak": ("shows memory that nobody wrote", "allocate with kzalloc, or memset it"),
    "left behind": (
        "leaves things behind",
        "undo in the exit function what init did, in reverse order",
    ),
    "endless read": ("has a file without an end", "return 0 at the end"),
    "init result": ("returns a positive number from its init", "return 0 or -ERRNO"),
    "unknown parameter": ("does not know a parameter", ""),
}


def judge(told: Sequence[Event], problems: Sequence[str], name: str) -> TrialVerdict:
    """Return what the events of a trial come to.

    ``problems`` are those of its last event, ``name`` the module's, of several the last one's.
    """
    turns = _turns(told, name)
    judged = [_judge_turn(name, turn) for name, turn in turns]
    bad = [verdict for verdict in judged if verdict.kind is not VerdictKind.GOOD]
    if not problems and not bad:
        return TrialVerdict(VerdictKind.GOOD, _good(turns))
    if not bad:
        return TrialVerdict(VerdictKind.PROBLEM, problems[0], further=len(problems) - 1)
    worst = max(bad, key=lambda verdict: _RANKS.index(verdict.kind))
    further = max(len(problems), len(bad)) - 1
    return TrialVerdict(worst.kind, worst.headline, worst.cause, worst.place, worst.advice, further)


def _turns(told: Sequence[Event], name: str) -> list[tuple[str, list[Event]]]:
    """Return the events of each module's own turn, by its name."""
    begins = [n for n, event in enumerate(told) if isinstance(event, events.TurnBegun)]
    if not begins:
        return [(name or "the module", list(told))]
    ends = [*begins[1:], len(told)]
    turns = []
    for begin, end in zip(begins, ends, strict=True):
        first = told[begin]
        assert isinstance(first, events.TurnBegun)
        turns.append((first.module, list(told[begin:end])))
    return turns


def _good(turns: Sequence[tuple[str, list[Event]]]) -> str:
    unloaded = all(any(isinstance(event, events.Unloaded) for event in turn) for _, turn in turns)
    if len(turns) == 1:
        does = "loads and unloads" if unloaded else "loads"
        return f"{turns[0][0]} {does}: no problem in what was checked"
    does = "load and unload" if unloaded else "load"
    return f"{len(turns)} modules {does}: no problem in what was checked"


def _judge_turn(name: str, told: Sequence[Event]) -> TrialVerdict:
    found: list[TrialVerdict] = []
    phase = Phase.LOAD
    for event in told:
        if isinstance(event, events.Loaded):
            phase = Phase.USE
        elif isinstance(event, events.Died):
            found.append(_died(name, event, told))
        elif isinstance(event, events.Refused) and not _crashed(told):
            found.append(_refused(name, event, phase))
        else:
            found += _problem(name, event)
    faults = [
        each
        for event in told
        if isinstance(event, events.Faulted | events.RuleBroken)
        for each in _problem(name, event)
    ]
    died = next((each for each in found if each.kind is VerdictKind.DIED), None)
    if faults and died is None:
        return faults[0]  # what a crash, or a leak, came of
    if faults and died is not None and not (died.place and died.place.line):
        # What the death came of: rather a place in the module's own source.
        own = [each for each in faults if each.place and each.place.line]
        first = (own or faults)[-1]
        cause = f"{first.headline}: {first.cause}"
        return TrialVerdict(died.kind, died.headline, cause, first.place, first.advice)
    worst = max(found, key=lambda verdict: _RANKS.index(verdict.kind), default=None)
    return worst or TrialVerdict(VerdictKind.GOOD, "")


def _crashed(told: Sequence[Event]) -> bool:
    return any(isinstance(event, events.Crashed) for event in told)


def _died(name: str, event: events.Died, told: Sequence[Event]) -> TrialVerdict:
    crash = next((each for each in told if isinstance(each, events.Crashed)), None)
    return TrialVerdict(
        VerdictKind.DIED,
        f"the kernel dies of {name}, while {event.operation}",
        crash.words if crash else event.reason,
        crash.place if crash else None,
    )


def _refused(name: str, event: events.Refused, phase: Phase) -> TrialVerdict:
    what = f"the kernel does not unload {name}" if phase is not Phase.LOAD else ""
    why = f"killed by signal {event.signal}" if event.signal else event.error
    headline = f"{what or f'the kernel refuses {event.operation}'}: {why}".rstrip(": ")
    cause = event.causes[0] if event.causes else ""
    return TrialVerdict(VerdictKind.REFUSED, headline, cause, None, event.advice)


def _problem(name: str, event: Event) -> list[TrialVerdict]:
    bad = VerdictKind.PROBLEM
    if isinstance(event, events.Crashed):
        return [TrialVerdict(bad, f"{name} crashes", event.words, event.place)]
    if isinstance(event, events.Faulted):
        where = next((p for p in (event.place, event.caller) if p and p.line), event.place)
        size = "" if event.size is None else f" of an object of {event.size} bytes"
        what = _WORDS.get(event.kind, event.kind)
        cause = f"{event.access} at offset {event.offset}{size}"
        return [TrialVerdict(bad, f"{name} {what}", cause, where, _ADVICE.get(event.kind, ()))]
    if isinstance(event, events.RuleBroken):
        does, cure = _RULES.get(event.rule, (f"breaks a rule ({event.rule})", ""))
        at, cures = event.place if event.place.at else None, (cure,) if cure else ()
        return [TrialVerdict(bad, f"{name} {does}", event.words, at, cures)]
    if isinstance(event, events.Leaked):
        size = "" if event.size is None else f"{event.size} bytes of "
        cause = f"{size}{event.function} are not given back when it is unloaded"
        advice = ("free it in the exit function, and on the error paths of init",)
        return [TrialVerdict(bad, f"{name} leaks memory", cause, event.place, advice)]
    if isinstance(event, events.LeftBehind) and (event.entries or event.registrations):
        left = [entry.path for entry in event.entries]
        left += [f"{each.kind} {each.name}" for each in event.registrations]
        cause = f"still there after it was unloaded: {', '.join(left[:4])}"
        advice = ("undo in the exit function what init did, in reverse order",)
        return [TrialVerdict(bad, f"{name} leaves things behind", cause, None, advice)]
    if isinstance(event, events.Acted) and event.error:
        return [TrialVerdict(bad, f"{event.action} {event.target} fails", event.error)]
    if isinstance(event, events.DependencyLoaded) and event.error:
        return [TrialVerdict(bad, f"{event.module}, which it needs, does not load", event.error)]
    return []
