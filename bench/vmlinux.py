"""What a kernel image tells, unpacked anew and from the cache; and `lkm try`, start to end."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from bench.common import Row, bounded, lkm, median, time_process
from lkm.build import kbuild
from lkm.vmlinux import btf, exports, kallsyms
from lkm.vmlinux.image import VmlinuxImage, open_cached
from tests.support.kernels import kernel_files

HELLO = Path(__file__).parent.parent / "examples/hello"


def measure() -> list[Row]:
    files = kernel_files()
    kernel = VmlinuxImage.open(files.vmlinuz).elf
    types = kernel.content(".BTF") or b""
    cached = open_cached(files.vmlinuz)
    _ = cached.kallsyms, cached.btf, cached.exports
    (module,) = kbuild.build(HELLO, files.headers).modules
    trial = median([time_process(lkm("try", str(module))) for _ in range(11)])
    quick = lkm("try", "--fast", str(module))
    fast = median([time_process(quick) for _ in range(11)])
    return [
        bounded(
            f"all {len(cached.kallsyms):,} kallsyms",
            processor_time(lambda: kallsyms.read(kernel)),
            most=0.3,
            unit="s CPU",
        ),
        bounded(
            f"all {len(cached.exports):,} exports",
            processor_time(lambda: exports.read(kernel)),
            most=0.1,
            unit="s CPU",
        ),
        bounded("BTF, indexed", processor_time(lambda: btf.Btf(types)), most=0.15, unit="s CPU"),
        bounded(
            "vmlinuz opened: symbols, types, exports from the cache",
            processor_time(lambda: read_all(files.vmlinuz)),
            most=0.08,
            unit="s CPU",
        ),
        bounded(
            "lkm try hello.ko, the whole command",
            trial.wall,
            most=0.45,
            unit="s",
            note=f"CPU {trial.cpu:.2f} s; all checks on",
        ),
        bounded(
            "the same with --fast",
            fast.wall,
            most=0.3,
            unit="s",
            note=f"CPU {fast.cpu:.2f} s",
        ),
    ]


def read_all(vmlinuz: Path) -> None:
    image = open_cached(vmlinuz)
    assert image.kallsyms["do_init_module"]
    assert image.btf.offset("module", "name")
    assert image.exports


def processor_time(work: Callable[[], object]) -> float:
    """Return the median of the processor seconds that ``work`` takes, of five."""
    taken = []
    for _ in range(5):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)
