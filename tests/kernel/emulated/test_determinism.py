"""The same operations after a restore: the same times, the same instructions, the same memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lkm.errors import KernelError
from lkm.kernel.emulated import open_machine
from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.kernel import Kernel
from tests.support.instructions import count_instructions
from tests.support.kernels import kernel_files
from tests.support.modules import built


def operate(kernel: Kernel) -> None:
    """Load, use, unload, oops, sleep: what can depend on chance."""
    kernel.load(built("good"), {"num": 42})
    kernel.set_parameter("good", "num", 7)
    kernel.load(kernel_files().modules / "kernel/drivers/block/loop.ko")
    kernel.unload("loop")
    kernel.load(built("misbehave"), {"how": "run_thread"})
    kernel.unload("misbehave")
    kernel.load(built("misbehave"), {"how": "poll_jiffies"})
    with pytest.raises(KernelError):
        kernel.load(built("oops"))
    kernel.read_file("/proc/meminfo")
    kernel.read_file("/proc/sys/kernel/random/uuid")


def trace(machine: EmulatedMachine, folder: Path) -> tuple[int, list[str], str, list[bytes]]:
    instructions = count_instructions(machine, folder)
    kernel = Kernel(machine)
    operate(kernel)
    uuid = kernel.read_text("/proc/sys/kernel/random/uuid")
    log = [f"{record.microseconds} {record.text}" for record in kernel.log()]
    ram = machine.session.restored.processor.memory.ram
    pages = [hashlib.md5(ram[at : at + 4096]).digest() for at in range(0, len(ram), 4096)]
    return instructions.value, log, uuid, pages


def test_two_machines_do_the_same(tmp_path: Path) -> None:
    results = []
    for _ in range(2):
        machine = open_machine(kernel_files().vmlinuz)
        results.append(trace(machine, tmp_path))
        machine.shut_down()
    first, second = results
    assert first[0] == second[0] > 10_000_000
    assert first[1] == second[1]
    assert first[2] == second[2]
    assert [i for i, (a, b) in enumerate(zip(first[3], second[3], strict=True)) if a != b] == []


def test_a_rewound_machine_does_the_same_as_a_new_one(tmp_path: Path) -> None:
    machine = open_machine(kernel_files().vmlinuz)
    kernel = Kernel(machine)
    operate(kernel)
    first = [f"{record.microseconds} {record.text}" for record in kernel.log()]
    machine.rewind()
    operate(kernel)
    assert [f"{record.microseconds} {record.text}" for record in kernel.log()] == first
    machine.shut_down()
