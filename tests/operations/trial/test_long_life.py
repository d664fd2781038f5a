"""Trials in a row and at once: no descriptor, thread, process or memory is left of them."""

from __future__ import annotations

import gc
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from lkm.operations.trial import events
from tests.support.kernels import kernel_files
from tests.support.modules import built
from tests.support.trying import attempt

GROWTH = 64 << 20


def once(kernel: str) -> tuple[str, ...]:
    told = attempt(built("hello"), kernel=f"{kernel}:{kernel_files().release}")
    return told.one(events.Finished).problems


def held() -> tuple[int, int, int]:
    """Descriptors, threads and child processes of this process."""
    gc.collect()
    children = [
        path
        for path in Path("/proc/self/task").glob("*/children")
        for _ in path.read_text().split()
    ]
    return (len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), len(children))


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def in_a_row(kernel: str, count: int) -> None:
    for _ in range(2):
        once(kernel)
    before, size = held(), resident()
    for _ in range(count):
        assert once(kernel) == ()
    assert held() == before
    assert resident() - size < GROWTH


@pytest.mark.parametrize("kernel", ["emulated", "vm"])
def test_three_in_a_row(kernel: str) -> None:
    in_a_row(kernel, 3)


@pytest.mark.full
@pytest.mark.parametrize("kernel", ["emulated", "vm"])
def test_five_hundred_in_a_row(kernel: str) -> None:
    in_a_row(kernel, 500)


@pytest.mark.full
@pytest.mark.parametrize("kernel", ["emulated", "vm"])
def test_eight_at_once(kernel: str) -> None:
    with ProcessPoolExecutor(8, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(once, [kernel] * 24)) == [()] * 24
