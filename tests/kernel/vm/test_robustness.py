"""Many machines in a row and at once: none fails, nothing is left behind."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from lkm import files
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.kernel.vm import store
from lkm.kernel.vm.accelerator import choose_accelerator
from lkm.operations.running import vm
from tests.support.kernels import KernelFiles
from tests.support.modules import built


def _machines_of(pid: int) -> list[int]:
    return [machine.pid for machine in vm.running() if machine.owner == pid]


def _use(where: str, path: str) -> str:
    with open_kernel(where) as kernel:
        assert kernel.taint() == 0
        kernel.load(path)
        kernel.unload("hello")
        return kernel.release


def _restore_in_a_row(kernel: KernelFiles, count: int) -> None:
    gc.collect()  # what other tests have left
    descriptors = len(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    files = {path.name for path in store.folder().iterdir()}
    for _ in range(count):
        assert _use(f"vm:{kernel.release}", str(built("hello", kernel))) == kernel.release
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    assert threading.active_count() == threads
    assert _machines_of(os.getpid()) == []
    # Other processes of a test run may add snapshots meanwhile, whole ones.
    assert not [p.name for p in store.folder().glob(".*") if p.name not in files]


def test_in_a_row(kernel: KernelFiles) -> None:
    _use(f"vm:{kernel.release}", str(built("hello", kernel)))
    _restore_in_a_row(kernel, 10)


@pytest.mark.full
def test_two_hundred_in_a_row(kernel: KernelFiles) -> None:
    _use(f"vm:{kernel.release}", str(built("hello", kernel)))
    _restore_in_a_row(kernel, 200)


def test_four_at_once(kernel: KernelFiles) -> None:
    where, path = f"vm:{kernel.release}", str(built("hello", kernel))
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        releases = list(pool.map(_use, [where] * 8, [path] * 8))
    assert releases == [kernel.release] * 8


def test_several_open_at_once_are_apart(kernel: KernelFiles) -> None:
    first, second = (open_kernel(f"vm:{kernel.release}") for _ in range(2))
    with first, second:
        first.load(built("hello", kernel))
        assert not second.is_loaded("hello")
        assert len(_machines_of(os.getpid())) == 2
    assert _machines_of(os.getpid()) == []


def test_forgotten_machine_ends_with_its_object(kernel: KernelFiles) -> None:
    forgotten: list[Kernel] = [open_kernel(f"vm:{kernel.release}")]
    assert len(_machines_of(os.getpid())) == 1
    with pytest.warns(ResourceWarning):  # the sockets, as with any file that is not closed
        forgotten.clear()
    assert _machines_of(os.getpid()) == []


_BUILDER = """
import sys
from lkm.kernel.open import open_kernel
with open_kernel(sys.argv[1]) as kernel:
    print(kernel.release)
"""


def test_processes_share_one_first_boot(
    kernel: KernelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = tmp_path / "lkm/kernels"
    kernels.mkdir(parents=True)
    (kernels / kernel.release).symlink_to(kernel.root)
    # What is known of this host's KVM is not what is looked at here.
    choose_accelerator()
    shutil.copytree(files.cache_directory("vm-accelerator"), tmp_path / "lkm/vm-accelerator")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    command = [sys.executable, "-c", _BUILDER, f"vm:{kernel.release}"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    shown = [process.communicate()[0] for process in started]
    assert shown == [f"{kernel.release}\n"] * 3
    assert len(store.entries()) == 1
