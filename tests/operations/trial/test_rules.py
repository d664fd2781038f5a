"""What the emulated kernel finds by default: broken rules of locking, of memory, of tidiness."""

from __future__ import annotations

import pytest

from lkm.operations.trial import events
from lkm.operations.trial.request import Action
from tests.support.modules import SOURCES, built
from tests.support.trying import Told, attempt


def line_of(name: str, text: str, nth: int = 1) -> int:
    """Return the number of the nth line of a test module that has ``text``."""
    lines = (SOURCES / f"{name}.c").read_text().splitlines()
    return [number for number, line in enumerate(lines, 1) if text in line][nth - 1]


def broken(told: Told, rule: str) -> list[events.RuleBroken]:
    return [event for event in told.all(events.RuleBroken) if event.rule == rule]


LOCKING = "breaks_locking"


@pytest.mark.parametrize(
    ("what", "rule", "text", "nth"),
    [
        ("twice", "deadlock", "spin_lock(&spin);", 3),
        ("order", "lock order", "mutex_lock(&first);", 3),
        ("kept", "lock held", "mutex_lock(&first);", 5),
        ("stray", "stray unlock", "mutex_unlock(&first);", 3),
        ("sleep", "sleep", "msleep(1);", 2),
        ("sleep-in-timer", "sleep", "msleep(1);", 1),
        ("context", "lock context", "spin_lock(&spin);", 5),
    ],
)
def test_locking(what: str, rule: str, text: str, nth: int) -> None:
    told = attempt(built(LOCKING), f"rule={what}")
    found = broken(told, rule)[0]
    assert found.place.line.rpartition(":")[2] == str(line_of(LOCKING, text, nth))
    assert told.one(events.Finished).problems


def test_two_tasks_that_wait_for_each_other() -> None:
    told = attempt(built(LOCKING), "rule=each-other")
    words = broken(told, "deadlock")[0].words
    assert "other" in words
    assert "the lock first" in words
    assert "the lock second" in words
    assert words.count("waits for") == 2


def test_a_module_that_locks_well_is_not_blamed() -> None:
    told = attempt(built(LOCKING), "rule=none")
    assert not told.all(events.RuleBroken)
    assert not told.one(events.Finished).problems


def test_each_thing_left_behind_is_named_with_its_line() -> None:
    told = attempt(built("leaves_everything"))
    found = {event.words: event for event in broken(told, "left behind")}
    wanted = {
        "the timer timer is still pending: it will call tick()": "mod_timer(",
        "the delayed work work is still queued: it will call later()": "schedule_delayed_work(",
        "the notifier block is still registered": "register_reboot_notifier(",
        "the debugfs entry forgotten is still there": "debugfs_create_dir(",
        "/proc/forgotten is still there": "proc_create(",
        "the misc device forgotten is still registered": "misc_register(",
        "IRQ 9 is still registered to forgotten": "return request_irq(",
    }
    for words, text in wanted.items():
        line = found[words].place.line
        assert line.rpartition(":")[2] == str(line_of("leaves_everything", text)), words
    (thread,) = [words for words in found if "kernel thread forgotten" in words]
    assert found[thread].place.at.startswith("start+")


def use(kind: str, name: str, value: str = "") -> Told:
    action = Action(kind, f"/proc/too_much/{name}", value)  # type: ignore[arg-type]
    return attempt(built("shows_too_much"), actions=(action,))


@pytest.mark.parametrize(
    ("kind", "name", "rule", "text"),
    [
        ("read", "leak", "information leak", "return copy_to_user(buffer, record"),
        ("read", "endless", "endless read", 'return copy_to_user(buffer, "again'),
        ("read", "init", "init memory", "return called()"),
        ("write", "raw", "user pointer", "seen = "),
    ],
)
def test_files(kind: str, name: str, rule: str, text: str) -> None:
    told = use(kind, name, "text")
    found = broken(told, rule)[0]
    assert found.place.line.rpartition(":")[2] == str(line_of("shows_too_much", text))
    assert not told.all(events.Died)


def test_fast_checks_nothing_and_says_so() -> None:
    told = attempt(built(LOCKING), "rule=order", fast=True)
    assert not told.all(events.RuleBroken)
    assert any("--fast" in what for what in told.one(events.NotChecked).what)


def test_a_positive_result_and_an_unknown_parameter() -> None:
    told = attempt(built(LOCKING), "rul=none")
    assert "did you mean rule?" in broken(told, "unknown parameter")[0].words
