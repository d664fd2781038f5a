"""The emulated machine: from a process's start to a module's line in the log, and beside it QEMU.

The peer is virtme-ng, installed in a virtual environment of its own, doing the same job (load
hello.ko on the same kernel, show its line) in one command.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import unicorn

from bench.common import Row, Timing, bounded, median, time_process
from lkm.kernel.emulated import open_machine
from lkm.kernel.emulated.hardware.processor import Processor
from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.kernel import Kernel
from tests.support.kernels import kernel_files
from tests.support.modules import built

LOAD = """
import sys
from lkm.kernel.emulated import open_machine
from lkm.kernel.kernel import Kernel
kernel = Kernel(open_machine(sys.argv[1]))
watch = kernel.watch_log()
kernel.load(sys.argv[2])
assert watch.new_records()[-1].text == "hello: loaded"
"""
TURNS = 50
VIRTME = Path(__file__).parent.parent / ".build/virtme-ng"


def measure() -> list[Row]:
    kernel, module = kernel_files(), built("hello")
    command = [sys.executable, "-c", LOAD, str(kernel.vmlinuz), str(module)]
    time_process(command)
    warm = median([time_process(command) for _ in range(9)])
    peer = virtme_ng(kernel.vmlinuz, module)
    cold = cold_boot(command)
    return [
        bounded(
            "process start → hello.ko's log line, warm cache",
            warm.wall,
            most=0.35,
            unit="s",
            note=f"CPU {warm.cpu:.2f} s",
        ),
        bounded(
            "the same, beside virtme-ng",
            warm.wall,
            least=20,
            unit="s",
            peer=peer.wall,
            note=f"CPU {peer.cpu:.1f} s for virtme-ng",
        ),
        bounded("peak memory of that process", warm.memory, most=150, unit="MiB"),
        bounded("rewind + load + unload", rewind_load_unload() * 1000, most=40, unit="ms"),
        bounded(
            "a loop of module code, a basic block",
            block_seconds(20_000_000) * 1e9,
            least=100,
            unit="ns",
            peer=block_seconds(200_000, counting_in_python) * 1e9,
            note="beside a Python hook on each block, as it was until 0.1",
        ),
        bounded(
            "cold boot to hello.ko's log line, empty cache",
            cold.wall,
            most=8,
            unit="s",
            note=f"CPU {cold.cpu:.1f} s, unpacking the kernel and reading its types included",
        ),
    ]


def rewind_load_unload() -> float:
    """Return the median seconds of going back to the snapshot, loading and unloading."""
    machine = open_machine(kernel_files().vmlinuz)
    kernel, image, times = Kernel(machine), built("hello").read_bytes(), []
    for _ in range(TURNS):
        start = time.perf_counter()
        machine.rewind()
        kernel.load(image)
        kernel.unload("hello")
        times.append(time.perf_counter() - start)
    machine.shut_down()
    return statistics.median(times)


def block_seconds(
    blocks: int, prepare: Callable[[EmulatedMachine], object] = lambda machine: None
) -> float:
    """Return the processor time that one block of a module's loop takes."""
    machine = open_machine(kernel_files().vmlinuz)
    prepare(machine)
    image, times = built("counts").read_bytes(), []
    for count in (1, 1, blocks + 1):
        machine.rewind()
        start = time.thread_time()
        Kernel(machine).load(image, f"blocks={count}")
        times.append(time.thread_time() - start)
    machine.shut_down()
    return (times[2] - times[1]) / blocks


def counting_in_python(machine: EmulatedMachine) -> None:
    """Count the blocks of module code in Python, beside the machine's own counting."""
    processor = machine.session.restored.processor
    counter = PythonCounter(processor)
    start = processor.layout.modules_start
    processor.hook(unicorn.UC_HOOK_BLOCK, counter.block, start, 0xFFFFFFFFFF000000)


class PythonCounter:
    """What the machine did on each block before machine code did it."""

    def __init__(self, processor: Processor) -> None:
        self._blocks = 0
        self._limits = processor.limits
        self._exceptions = processor.exceptions

    def block(self, _uc: object, _address: int, _size: int, _data: object) -> None:
        """Count a block; see whether a timer interrupt is due."""
        self._blocks += 1
        if self._blocks < 3000 or not self._exceptions.enabled:
            return
        self._blocks = 0


def cold_boot(command: list[str]) -> Timing:
    """Return what the same process takes when it finds nothing in the cache."""
    with tempfile.TemporaryDirectory() as cache:
        return time_process(command, env={**os.environ, "XDG_CACHE_HOME": cache})


def virtme_ng(vmlinuz: Path, module: Path) -> Timing:
    """Return what virtme-ng takes for one load, emulating as we do."""
    if not (VIRTME / "bin/vng").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VIRTME)], check=True)
        pip = [str(VIRTME / "bin/pip"), "install", "--quiet", "virtme-ng"]
        subprocess.run(pip, check=True)
    script = f"insmod {module}; dmesg | tail -1"
    command = ["vng", "--verbose", "--run", str(vmlinuz), "--disable-kvm", "--memory", "512M"]
    command += ["--exec", script]
    environment = {**os.environ, "PATH": f"{VIRTME / 'bin'}:{os.environ['PATH']}"}
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        _, _, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = 0
        log.seek(0)
        # Its exit status is 255 on a stock kernel, whatever the script returned.
        assert b"hello: loaded" in log.read(), "virtme-ng did not load the module"
    return Timing(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
