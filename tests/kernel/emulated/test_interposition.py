from __future__ import annotations

import errno

import pytest

from lkm.errors import KernelError
from lkm.kernel.emulated import open_machine
from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.emulated.watch.findings import Access, FaultKind
from lkm.kernel.emulated.watch.interposition import Interposition
from lkm.kernel.kernel import Kernel
from lkm.module.image import ModuleImage
from tests.support.kernels import SERIES, kernel_files
from tests.support.modules import built


def run(
    machine: EmulatedMachine,
    name: str,
    *,
    guard: bool = False,
    trace: bool = False,
    alignment: int = 8,
    fail: int = 0,
) -> tuple[Interposition, KernelError | None]:
    """Load and unload a test module with an interposition on it."""
    machine.rewind()
    image = ModuleImage.open(built(name))
    watched = machine.interpose(image, guard=guard, trace=trace, guard_alignment=alignment)
    if fail:
        watched.fail_allocation(fail)
    kernel = Kernel(machine)
    try:
        kernel.load(image)
        kernel.unload(image.name)
    except KernelError as error:
        return watched, error
    return watched, None


def test_a_leak_is_named_with_its_call_site(machine: EmulatedMachine) -> None:
    watched, error = run(machine, "leak")
    assert error is None
    (leak,) = watched.leaks()
    assert (leak.number, leak.size, leak.site.function) == (1, 100, "on_load")
    assert leak.site.section == ".init.text"


def test_a_module_that_gives_back_what_it_took_leaks_nothing(machine: EmulatedMachine) -> None:
    watched, error = run(machine, "allocates")
    assert error is None
    assert [made.size for made in watched.allocations] == [64, 128, 256, 512]
    assert watched.leaks() == ()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_each_allocation_can_be_made_to_fail(machine: EmulatedMachine, number: int) -> None:
    watched, error = run(machine, "allocates", fail=number)
    assert error is not None
    assert error.errno == errno.ENOMEM
    assert [made.number for made in watched.failed] == [number]
    assert watched.failed[0].address == 0
    assert watched.leaks() == ()


def test_freeing_null_is_no_fault_of_a_module_whose_allocation_failed(
    machine: EmulatedMachine,
) -> None:
    # kfree(NULL) is fine, so a module that frees twice without checking survives a failure.
    watched, error = run(machine, "double_free", fail=1)
    assert error is None
    assert len(watched.failed) == 1


def test_overflow_is_seen_when_the_object_is_freed(machine: EmulatedMachine) -> None:
    watched, error = run(machine, "overflow", guard=True)
    assert error is None
    (fault,) = watched.faults
    assert (fault.kind, fault.offset, fault.found_at_free) == (FaultKind.OVERFLOW, 100, True)
    assert fault.caller is not None
    assert fault.caller.function == "on_load"


def test_overflow_is_caught_at_the_instruction_when_nothing_is_left_behind_the_object(
    machine: EmulatedMachine,
) -> None:
    watched, error = run(machine, "overflow", guard=True, alignment=1)
    assert error is not None
    assert error.signal == 9
    (fault,) = watched.faults
    assert (fault.kind, fault.access, fault.offset) == (FaultKind.OVERFLOW, Access.WRITE, 100)
    assert (fault.site.function, fault.found_at_free) == ("on_load", False)
    assert fault.allocation is not None
    assert fault.allocation.size == 100


def test_use_after_free_is_caught_with_both_places(machine: EmulatedMachine) -> None:
    watched, error = run(machine, "use_after_free", guard=True)
    assert error is not None
    (fault,) = watched.faults
    assert (fault.kind, fault.access, fault.offset) == (FaultKind.USE_AFTER_FREE, Access.READ, 0)
    assert fault.freed is not None
    assert fault.allocation is not None
    assert fault.allocation.site.offset < fault.freed.offset < fault.site.offset


def test_double_free_is_caught(machine: EmulatedMachine) -> None:
    watched, error = run(machine, "double_free", guard=True)
    assert error is None
    (fault,) = watched.faults
    assert (fault.kind, fault.access) == (FaultKind.DOUBLE_FREE, Access.FREE)
    assert fault.caller is not None
    assert fault.freed is not None
    assert fault.freed.offset < fault.caller.offset


@pytest.mark.parametrize(
    "name", ["hello", "allocates", "reallocates", "exporter", "params", "busy"]
)
def test_guards_say_nothing_of_modules_that_do_nothing_wrong(
    machine: EmulatedMachine, name: str
) -> None:
    watched, _ = run(machine, name, guard=True)
    assert watched.attached
    assert watched.faults == ()
    assert watched.leaks() == ()
    assert watched.unguarded == 0


def test_trace_has_calls_in_order_with_arguments_and_results(machine: EmulatedMachine) -> None:
    watched, _ = run(machine, "hello", trace=True)
    first, last = watched.trace
    assert (first.number, last.number) == (1, 2)
    assert (first.function, first.site.function) == ("_printk", "hello_init")
    (argument,) = first.arguments
    assert (argument.name, argument.type) == ("fmt", "const char *")
    assert argument.text == "\x016hello: loaded\n"
    assert (first.result, first.result_type) == (len("hello: loaded"), "int")
    assert last.site.function == "hello_exit"


def test_traced_pointers_and_sizes_agree_with_the_allocations(machine: EmulatedMachine) -> None:
    watched, _ = run(machine, "allocates", trace=True)
    made = [call for call in watched.trace if "kmalloc" in call.function]
    freed = [call for call in watched.trace if call.function == "kfree"]
    assert [call.arguments[0].value for call in made] == [64, 128, 256, 512]
    assert [call.result for call in made] == [a.address for a in watched.allocations]
    assert [call.arguments[0].value for call in freed] == [call.result for call in made]


@pytest.mark.parametrize("series", SERIES)
def test_a_module_of_the_distribution_under_trace_and_guard(series: str) -> None:
    files = kernel_files(series)
    (path,) = files.modules.rglob("loop.ko*")
    image = ModuleImage.open(path)
    machine = open_machine(files.vmlinuz)
    kernel = Kernel(machine)
    watched = machine.interpose(image, trace=True, guard=True)
    kernel.load(image)
    assert kernel.module("loop").state == "Live"
    kernel.unload("loop")
    assert len(watched.trace) > 100
    called = {call.function for call in watched.trace}
    assert called & {"register_blkdev", "__register_blkdev"}  # the latter since 5.11
    assert len(watched.allocations) > 4
    assert watched.leaks() == ()
    assert watched.faults == ()
    machine.shut_down()


def test_a_module_can_be_watched_through_several_loads(machine: EmulatedMachine) -> None:
    image = ModuleImage.open(built("allocates"))
    kernel = Kernel(machine)
    for _ in range(3):
        watched = machine.interpose(image, guard=True)
        for turn in (1, 2):
            kernel.load(image)
            kernel.unload("allocates")
            assert len(watched.allocations) == 4 * turn
        assert watched.leaks() == ()
        assert watched.faults == ()


def test_rewind_ends_an_interposition(machine: EmulatedMachine) -> None:
    image = ModuleImage.open(built("leak"))
    watched = machine.interpose(image)
    machine.rewind()
    Kernel(machine).load(image)
    assert not watched.attached
    assert watched.allocations == ()
