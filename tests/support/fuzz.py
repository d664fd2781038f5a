"""``python -m tests.support.fuzz SEED COUNT FOLDER``: read COUNT damaged modules, each to the end.

Every mutant must end in facts or a ``FormatError``. Anything else, more than a second of processor
time or more than 256 MiB of memory ends the run with the mutant written into FOLDER.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import sys
from collections import Counter
from pathlib import Path

from lkm.errors import FormatError
from lkm.module import signer
from lkm.module.compression import Compression, compress
from lkm.module.image import ModuleImage
from tests.support.corrupt import mutant
from tests.support.kernels import kernel_files
from tests.support.shapes import SHAPES, module

MEMORY = 256 << 20
SECONDS = 1.0


class TooLongError(Exception):
    """A mutant took more than a second of processor time."""


def read_everything(data: bytes) -> None:
    """Ask for every fact there is; the first ``FormatError`` of each is an answer."""
    image = ModuleImage.from_bytes(data, "mutant.ko")
    questions = [name for name in dir(ModuleImage) if not name.startswith("_")]
    refused = []
    for name in questions:
        try:
            getattr(image, name)
        except FormatError as error:
            refused.append(error)
    try:
        if image.signature:
            signer.read(image.signature)
    except FormatError as error:
        refused.append(error)
    if refused:
        raise refused[0]


def seeds() -> list[bytes]:
    """Small modules of the distribution, of every shape, and packed ones."""
    paths = sorted(kernel_files().modules.rglob("*.ko"))
    small = [path for path in paths if path.stat().st_size < 14_000]
    chosen = [path.read_bytes() for path in random.Random(5).sample(small, 24)]
    chosen += [module(shape) for shape in SHAPES]
    packed = [kind for kind in Compression if kind is not Compression.NONE]
    return chosen + [compress(data, kind) for kind in packed for data in chosen[:2]]


def fuzz(seed: int, count: int, folder: Path) -> Counter[str]:
    """Return how many mutants ended how; raises what a mutant raised."""
    originals = seeds()
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    signal.signal(signal.SIGPROF, _too_long)
    for number in range(count):
        data = mutant(chance.choice(originals), chance)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            read_everything(data)
            outcomes["facts"] += 1
        except FormatError:
            outcomes["FormatError"] += 1
        except BaseException:
            (folder / f"mutant-{seed}-{number}.ko").write_bytes(data)
            raise
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return outcomes


def _too_long(_number: int, _frame: object) -> None:
    raise TooLongError


def main() -> None:
    """Run under a memory limit; print the outcomes as JSON."""
    seed, count, folder = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    print(json.dumps(fuzz(int(seed), int(count), Path(folder))))


if __name__ == "__main__":
    main()
