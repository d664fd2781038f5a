"""What only the emulated kernel can watch: `--fail-alloc`, `--guard`, `--trace`."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkm.errors import UsageError
from lkm.operations.trial import events
from lkm.operations.trial.events import Outcome
from lkm.operations.trial.request import Action
from tests.support.modules import built
from tests.support.trying import attempt

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_each_allocation_failed_in_turn() -> None:
    told = attempt(EXAMPLES / "broken", fail_each=True)
    tried = told.all(events.FailureTried)
    assert [each.failed.number for each in tried] == [1, 2, 3, 4]
    assert [each.outcome for each in tried] == [
        Outcome.CLEAN,
        Outcome.CLEAN,
        Outcome.LEAK,
        Outcome.CRASH,
    ]
    source = (EXAMPLES / "broken/broken.c").read_text().splitlines()
    leak = next(n for n, line in enumerate(source, 1) if "cache->names = kmalloc" in line)
    crash = next(n for n, line in enumerate(source, 1) if "second bug" in line)
    (leaked,) = tried[2].leaks
    assert leaked.place.line == f"{EXAMPLES}/broken/broken.c:{leak}"
    assert leaked.size == 4096
    assert tried[3].crash is not None
    assert tried[3].crash.place.line == f"{EXAMPLES}/broken/broken.c:{crash}"
    assert told.one(events.Finished).problems == (
        "when allocation 3 fails: leak",
        "when allocation 4 fails: crash",
    )


def test_a_sound_module_takes_every_failure() -> None:
    told = attempt(
        EXAMPLES / "hello",
        fail_each=True,
        actions=(Action("write", "/dev/hello", "kept"), Action("read", "/dev/hello")),
    )
    tried = told.all(events.FailureTried)
    assert tried
    assert {each.outcome for each in tried} == {Outcome.CLEAN}
    assert told.one(events.Finished).problems == ()


def test_one_allocation_failed() -> None:
    told = attempt(EXAMPLES / "broken", fail=3)
    assert told.one(events.Refused).error == "ENOMEM (Cannot allocate memory)"
    assert told.one(events.FailureTried).outcome is Outcome.LEAK
    told = attempt(EXAMPLES / "broken", fail=1)
    assert told.one(events.FailureTried).outcome is Outcome.CLEAN
    assert told.one(events.Finished).problems == ()
    told = attempt(EXAMPLES / "broken", fail=99)
    assert told.one(events.Finished).problems == ("it makes 4 allocations: none has failed",)


def test_leaks_are_told_unasked() -> None:
    told = attempt(built("leak"))
    leak = told.one(events.Leaked)
    assert (leak.size, leak.place.at.partition("+")[0]) == (100, "on_load")
    (problem,) = told.one(events.Finished).problems
    assert problem.startswith("100 bytes from on_load+")


def test_guard() -> None:
    fault = attempt(built("use_after_free"), guard=True).one(events.Faulted)
    assert (fault.kind, fault.access, fault.offset, fault.size) == (
        "use-after-free",
        "read",
        0,
        100,
    )
    assert fault.freed is not None
    assert "kfree(" in fault.freed.text
    fault = attempt(built("overflow"), guard=True).one(events.Faulted)
    assert (fault.kind, fault.found_at_free, fault.offset) == ("overflow", True, 100)


def test_trace() -> None:
    calls = attempt(EXAMPLES / "hello", trace=True).all(events.Called)
    assert [call.number for call in calls] == list(range(1, len(calls) + 1))
    register = next(call for call in calls if call.function == "misc_register")
    assert register.result == "0"
    assert register.arguments.startswith("misc=0xffffffffc0")
    assert calls[-1].function == "_printk"
    assert "goodbye" in calls[-1].arguments


def test_watching_takes_the_emulated_kernel() -> None:
    for what in ({"guard": True}, {"trace": True}, {"fail": 1}, {"fail_each": True}):
        with pytest.raises(UsageError, match="cannot watch"):
            attempt(built("hello"), kernel="vm", **what)
