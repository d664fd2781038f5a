"""Each thing depmod does only for speed, alone: with it and without it in turn, in the same run.

A trick stays only if it gains 5 % of the wall time or of the processor time of its row.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.common import Row, Timing, alternate, bounded, time_process
from bench.depmod import Bench, bench, pack
from lkm.module.compression import Compression
from tests.support.kernels import kernel_files

MOST = 0.95
SETTLED = 2.5  # seconds after which a directory's listing is kept
RUN = """
import sys
import lkm.operations.depmod
lkm.operations.depmod.are_busy = lambda count: False
{patch}
sys.argv = ["lkm", "depmod", "-b", {root!r}, {release!r}]
from lkm.__main__ import main
sys.exit(main())
"""
HASH = """
import lkm.depmod.tree_facts as t
def bucket(key):
    value, place, word = len(key), 0, 0xFFFFFFFF
    for place in range(0, len(key) - 3, 4):
        value = value + (key[place] | key[place + 1] << 8) & word
        value = (value << 16 ^ (key[place + 2] | key[place + 3] << 8) << 11 ^ value) & word
        value = value + (value >> 11) & word
    rest = key[len(key) & ~3:]
    if len(rest) == 3:
        value = value + (rest[0] | rest[1] << 8) & word
        value = (value << 16 ^ rest[2] << 18 ^ value) & word
        value = value + (value >> 11) & word
    elif len(rest) == 2:
        value = value + (rest[0] | rest[1] << 8) & word
        value = (value << 11 ^ value) & word
        value = value + (value >> 17) & word
    elif rest:
        value = value + rest[0] & word
        value = (value << 10 ^ value) & word
        value = value + (value >> 1) & word
    for left, right in ((3, 5), (4, 17), (25, 6)):
        value = (value << left ^ value) & word
        value = value + (value >> right) & word
    return value
def in_hash_order(keys, buckets):
    table = [[] for _ in range(buckets)]
    for key in keys:
        table[bucket(key) & buckets - 1].append(key)
    return [key for entries in table for key in sorted(entries)]
"""


def anew(here: Bench, run: Callable[[], Timing]) -> Timing:
    here.forget()
    return run()


def evicted(here: Bench, run: Callable[[], Timing]) -> Timing:
    here.forget()
    return here.evicted(run)


def same(_: Bench, run: Callable[[], Timing]) -> Timing:
    return run()


def added(here: Bench, run: Callable[[], Timing]) -> Timing:
    return here.one_added(run)


@dataclass(frozen=True, slots=True)
class Trick:
    """What is done, in which runs it counts, and the Python that takes it away.

    ``imports`` is run with it, too, so that both load the same files.
    """

    name: str
    runs: Callable[[Bench, Callable[[], Timing]], Timing]
    imports: str
    without: str
    count: int = 15


PARTNER = ("from lkm.depmod.update import Update", "Update._partner = lambda *a, **k: None")
LISTINGS = "from lkm.depmod.listings import Listings"
TRICKS = (
    Trick(
        "modules are fetched from the disk ahead",
        evicted,
        "from lkm.depmod.read_ahead import ReadAhead",
        "ReadAhead.after = lambda self, done: None",
        5,
    ),
    Trick(
        "read into large pages",
        anew,
        "import os\nfrom lkm.depmod.large_pages import Store",
        "Store.read = staticmethod(os.pread)",
    ),
    Trick("a partner writes half of the files, all read", anew, *PARTNER),
    Trick("a partner writes half of the files, one added", added, *PARTNER),
    Trick("hashes are computed side by side", anew, HASH, "t.in_hash_order = in_hash_order"),
    Trick(
        "listings of directories are kept",
        same,
        LISTINGS,
        "Listings.names = lambda *a: None; Listings.keep = lambda *a: None",
        30,
    ),
    Trick("a partner looks at half of them", same, LISTINGS, "Listings.share = lambda s: None", 30),
    Trick("neither typing nor dataclasses", same, "", "import typing, dataclasses", 30),
    Trick("the interpreter is not taken apart", same, "", "import atexit", 30),
)
PACKED = Trick(
    "several processes unpack (zstd)",
    anew,
    "from lkm.depmod import update",
    "update.gather = lambda folder, paths, workers, said: update.scan_all(folder, paths, said)",
    5,
)


def gain(trick: Trick, compression: Compression = Compression.NONE) -> Row:
    """Time both in turn, each in a tree of its own, for each would change the other's."""
    with bench(kernel_files()) as with_it, bench(kernel_files()) as without_it:
        runs: list[Callable[[], Timing]] = []
        for here, patch in ((with_it, ""), (without_it, trick.without)):
            if compression is not Compression.NONE:
                pack(here, compression)
            run = partial(depmod, here, f"{trick.imports}\n{patch}")
            here.forget()
            run()
            runs.append(partial(trick.runs, here, run))
        time.sleep(SETTLED)
        for settled in runs:
            settled()
        on, off = alternate(runs[0], runs[1], trick.count)
    wall, cpu = on.wall / off.wall, on.cpu / off.cpu
    note = f"wall {wall:.2f}, CPU {cpu:.2f} of without"
    if cpu < wall:
        return bounded(f"{trick.name}, CPU", on.cpu, most=MOST, unit="s", peer=off.cpu, note=note)
    return bounded(f"{trick.name}, wall", on.wall, most=MOST, unit="s", peer=off.wall, note=note)


def depmod(here: Bench, patch: str) -> Timing:
    environment = {**os.environ, "XDG_CACHE_HOME": str(here.cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    code = RUN.format(patch=patch, root=str(here.root), release=here.release)
    return time_process([sys.executable, "-c", code], env=environment)


def measure() -> list[Row]:
    return [*map(gain, TRICKS), gain(PACKED, Compression.ZSTD)]
