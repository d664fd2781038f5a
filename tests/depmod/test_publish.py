"""A process killed at any moment leaves the old set of index files or the new one, whole."""

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lkm.depmod.publish import IndexFolder
from tests.support.kernels import KernelFiles
from tests.support.trees import OUTPUTS, linked_tree, lkm_depmod, outputs


def test_files_appear_at_commit_only(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_bytes(b"old")
    with IndexFolder(str(tmp_path)) as folder:
        folder.put("modules.dep", b"new")
        folder.put("modules.alias", b"a" * 100_000)
        assert (tmp_path / "modules.dep").read_bytes() == b"old"
        assert folder.commit() == ("modules.dep", "modules.alias")
    assert (tmp_path / "modules.dep").read_bytes() == b"new"
    assert (tmp_path / "modules.alias").stat().st_mode & 0o777 == 0o644
    assert len(os.listdir(tmp_path)) == 2


def test_nothing_is_left_without_commit(tmp_path: Path) -> None:
    with IndexFolder(str(tmp_path)) as folder:
        folder.put("modules.dep", b"new")
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".modules.dep.bin.123.lkm").write_bytes(b"")
    mine = [".modules.mine", ".modules.mine.lkm", "modules.dep.bin.123.lkm"]
    for name in mine:
        (tmp_path / name).write_bytes(b"")
    with IndexFolder(str(tmp_path)):
        assert sorted(os.listdir(tmp_path)) == mine


KILLED_AT_COMMIT = """
import os, signal, sys
from lkm.depmod import publish

class Killed(publish.IndexFolder):
    def _rename(self, name):
        super()._rename(name)
        if name == "modules.b":
            victim = os.getppid() if sys.argv[2] == "parent" else os.getpid()
            os.kill(victim, signal.SIGKILL)

with Killed(sys.argv[1]) as folder:
    for name in "abcd":
        folder.put(f"modules.{name}", b"new")
    folder.commit()
"""


@pytest.mark.parametrize("victim", ["parent", "helper"])
def test_killed_half_way_through_the_renaming(tmp_path: Path, victim: str) -> None:
    for name in "abcd":
        (tmp_path / f"modules.{name}").write_bytes(b"old")
    command = [sys.executable, "-c", KILLED_AT_COMMIT, str(tmp_path), victim]
    subprocess.run(command, check=False, timeout=60)
    deadline = time.monotonic() + 20
    while any(name.endswith(".lkm") for name in os.listdir(tmp_path)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"new"}


@pytest.mark.parametrize("times", [12, pytest.param(150, marks=pytest.mark.full)])
def test_depmod_killed_at_any_moment(kernel: KernelFiles, tmp_path: Path, times: int) -> None:
    folder = linked_tree(kernel, tmp_path)
    order = folder / "modules.order"
    lines = order.read_bytes().splitlines(keepends=True)
    sets = []
    for variant in (lines, lines[::-1]):
        order.write_bytes(b"".join(variant))
        assert lkm_depmod(tmp_path, kernel.release).returncode == 0
        sets.append(outputs(folder))
    assert sets[0] != sets[1]
    command = [sys.executable, "-m", "lkm", "depmod", "--no-cache", "-b", str(tmp_path)]
    chosen = random.Random(times)
    begin = time.monotonic()
    subprocess.run([*command, kernel.release], check=True)
    usual = time.monotonic() - begin
    for number in range(times):
        order.write_bytes(b"".join((lines, lines[::-1])[number % 2]))
        process = subprocess.Popen([*command, kernel.release])
        time.sleep(chosen.uniform(0, usual * 1.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        settled(folder)
        assert outputs(folder) in sets
    assert lkm_depmod(tmp_path, kernel.release).returncode == 0
    assert not [name for name in os.listdir(folder) if name.endswith(".lkm")]
    assert sorted(outputs(folder)) == sorted(OUTPUTS)


def settled(folder: Path) -> None:
    """Wait until no helper of the killed process holds the folder any more."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)
