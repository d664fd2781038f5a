"""Misbehaviour ends as on a real machine: the kernel lives on, or says that it died."""

from __future__ import annotations

import errno

import pytest

from lkm.errors import KernelDiedError, KernelError
from lkm.kernel.emulated.hardware.processor import Limits
from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.kernel import Kernel
from tests.support.modules import built

OUT_OF_TREE_UNSIGNED = 1 << 12 | 1 << 13
DIED = 1 << 7
SIGKILL, SIGSEGV = 9, 11

OOPSES = [
    ("write_constant", SIGKILL, "BUG: unable to handle page fault for address"),
    ("call_null", SIGKILL, "BUG: kernel NULL pointer dereference"),
    ("execute_data", SIGKILL, "kernel tried to execute NX-protected page"),
    ("read_unmapped", SIGKILL, "BUG: unable to handle page fault for address: ffff900000000000"),
    ("divide_by_zero", SIGSEGV, "divide error: 0000"),
    ("read_non_canonical", SIGSEGV, "general protection fault"),
]
PANICS = [
    ("die_of_panic", "misbehave: the end", "panic"),
    ("die_of_bug_in_timer", "Fatal exception in interrupt", "kernel BUG at"),
    ("exhaust_stack", "Fatal exception in interrupt", "stack guard page was hit"),
]
ENDLESS = [
    ("spin", "module code did not end", "spin+0x"),
    ("spin_relaxed", "module code did not end", "spin_relaxed+0x"),
    ("spin_without_interrupts", "busy for 1 seconds without end", "spin_without_interrupts+0x"),
    ("halt_for_ever", "halted with interrupts disabled", "halt_for_ever+0x"),
    ("deadlock", "busy for 1 seconds without end", "spin_lock"),
]
UNUSUAL = [
    *("sleep_a_while", "delay_a_while", "defer", "poll_jiffies"),
    *("run_thread", "read_clock", "use_fpu"),
]


@pytest.fixture
def impatient(machine: EmulatedMachine) -> Kernel:
    machine.limits = Limits(seconds=1, spin=100)
    return Kernel(machine)


@pytest.mark.parametrize(("how", "signal", "message"), OOPSES)
def test_an_oops_kills_the_task_and_taints(
    impatient: Kernel, how: str, signal: int, message: str
) -> None:
    with pytest.raises(KernelError) as caught:
        impatient.load(built("misbehave"), {"how": how})
    assert not isinstance(caught.value, KernelDiedError)
    assert caught.value.signal == signal
    assert any(message in line for line in caught.value.log), caught.value.log
    assert impatient.taint() == OUT_OF_TREE_UNSIGNED | DIED
    assert impatient.module("misbehave").state == "Loading"


@pytest.mark.parametrize(("how", "reason", "message"), PANICS)
def test_a_panic_ends_the_machine_with_its_log(
    machine: EmulatedMachine, impatient: Kernel, how: str, reason: str, message: str
) -> None:
    with pytest.raises(KernelDiedError) as caught:
        impatient.load(built("misbehave"), {"how": how})
    assert caught.value.reason == f"the kernel panicked: {reason}"
    assert caught.value.log[0].startswith("Linux version ")
    assert any(message in line for line in caught.value.log), caught.value.log[-60:]
    with pytest.raises(KernelDiedError, match="panicked"):
        impatient.taint()
    machine.rewind()
    assert impatient.taint() == 0


@pytest.mark.parametrize(("how", "reason", "place"), ENDLESS)
def test_what_never_ends_meets_a_limit_that_names_the_place(
    machine: EmulatedMachine, impatient: Kernel, how: str, reason: str, place: str
) -> None:
    with pytest.raises(KernelDiedError) as caught:
        impatient.load(built("misbehave"), {"how": how})
    assert reason in caught.value.reason
    assert place in caught.value.reason
    assert any("loading out-of-tree module" in line for line in caught.value.log)
    machine.rewind()
    assert impatient.load(built("hello")).state == "Live"


def test_a_task_that_waits_for_ever_is_given_up_and_the_machine_answers(
    machine: EmulatedMachine, impatient: Kernel
) -> None:
    machine.session.module_timeout = 5
    with pytest.raises(KernelDiedError) as caught:
        impatient.load(built("misbehave"), {"how": "wait_for_ever"})
    assert "did not return within 5 s" in caught.value.reason
    assert any("wait_for_ever+0x" in line for line in caught.value.log)
    assert machine.dead == ""
    assert impatient.module("misbehave").state == "Loading"
    assert impatient.load(built("hello")).state == "Live"


@pytest.mark.parametrize("how", UNUSUAL)
def test_the_unusual_works(impatient: Kernel, how: str) -> None:
    assert impatient.load(built("misbehave"), {"how": how}).state == "Live"
    impatient.unload("misbehave")
    assert impatient.taint() == OUT_OF_TREE_UNSIGNED


def test_what_init_returns_is_passed_on(impatient: Kernel) -> None:
    with pytest.raises(KernelError) as caught:
        impatient.load(built("misbehave"), {"how": "no such kind"})
    assert (caught.value.errno, caught.value.signal) == (errno.ENOENT, 0)
