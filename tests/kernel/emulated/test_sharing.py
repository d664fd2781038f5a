"""The snapshot cache among processes, damaged, full; and memory over many rewinds."""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from lkm.kernel.emulated import open_machine
from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.kernel import Kernel
from tests.support.kernels import kernel_files
from tests.support.modules import built

CHILD = """
import json, sys
from lkm.errors import KernelError
from lkm.kernel.emulated import open_machine
from lkm.kernel.kernel import Kernel
notes = []
kernel = Kernel(open_machine(sys.argv[1], progress=notes.append))
with kernel.watch_log() as watch:
    kernel.load(sys.argv[2])
    last = watch.new_records()[-1]
try:
    kernel.load(sys.argv[3])
except KernelError as error:
    signal = error.signal
print(json.dumps(
    {"notes": notes, "log": last.text, "time": last.microseconds, "signal": signal}
))
"""


def start(cache: Path, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    arguments = [str(kernel_files().vmlinuz), str(built("hello")), str(built("oops"))]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", CHILD, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Mapping[str, object]:
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    answer: Mapping[str, object] = json.loads(output)
    assert answer["log"] == "hello: loaded"
    return answer


def snapshot_in(cache: Path) -> Path:
    (path,) = (cache / "lkm/emulated").glob("*.snapshot")
    return path


@pytest.fixture(scope="module")
def cold_start(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Mapping[str, object]]]:
    """Eight processes on an empty cache."""
    cache = tmp_path_factory.mktemp("cache")
    processes = [start(cache) for _ in range(8)]
    return cache, [finish(process) for process in processes]


def test_of_eight_processes_one_boots_and_the_others_wait(
    cold_start: tuple[Path, list[Mapping[str, object]]],
) -> None:
    _, answers = cold_start
    notes = [str(answer["notes"]) for answer in answers]
    assert sum("booting" in text for text in notes) == 1
    assert any("waiting" in text for text in notes)


def test_all_of_them_see_the_same_kernel(
    cold_start: tuple[Path, list[Mapping[str, object]]],
) -> None:
    _, answers = cold_start
    assert len({answer["time"] for answer in answers}) == 1


def test_an_oops_in_a_snapshot_just_made_costs_one_task(
    cold_start: tuple[Path, list[Mapping[str, object]]],
) -> None:
    _, answers = cold_start
    assert {answer["signal"] for answer in answers} == {9}


@pytest.mark.parametrize("keep", [0.999999, pytest.param(0.5, marks=pytest.mark.full)])
def test_a_snapshot_cut_short_is_noticed_and_made_anew(
    cold_start: tuple[Path, list[Mapping[str, object]]], tmp_path: Path, keep: float
) -> None:
    whole, _ = cold_start
    shutil.copytree(whole / "lkm/vmlinux", tmp_path / "lkm/vmlinux")
    (tmp_path / "lkm/emulated").mkdir()
    path = tmp_path / "lkm/emulated" / snapshot_in(whole).name
    command = ["cp", "--sparse=always", str(snapshot_in(whole)), str(path)]
    subprocess.run(command, check=True)
    size = path.stat().st_size
    os.truncate(path, int(size * keep))
    assert finish(start(tmp_path))["notes"] != []
    assert path.stat().st_size == size
    assert finish(start(tmp_path))["notes"] == []


def test_without_room_in_the_cache_the_machine_runs_all_the_same(tmp_path: Path) -> None:
    # A file system of 20 MB in a mount namespace of its own.
    mount = f'mount -t tmpfs -o size=20m none {tmp_path} && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    assert finish(start(tmp_path, prefix))["notes"] != []


def test_memory_does_not_grow_over_500_rewinds(machine: EmulatedMachine) -> None:
    kernel = Kernel(machine)
    image = built("hello").read_bytes()

    def turn(count: int) -> None:
        for _ in range(count):
            machine.rewind()
            kernel.load(image)
            kernel.unload("hello")

    turn(20)
    before = resident()
    turn(500)
    assert resident() - before < 8 << 20


def resident() -> int:
    """Bytes of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_machines_that_were_shut_down_leave_no_memory_behind() -> None:
    def turn(count: int) -> None:
        for _ in range(count):
            with Kernel(open_machine(kernel_files().vmlinuz)) as kernel:
                kernel.load(built("hello"))
        gc.collect()

    turn(3)
    before = resident()
    turn(12)
    assert resident() - before < 24 << 20
