"""Signing and verifying whole trees, against a shell loop over the kernel's ``sign-file``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.common import Row, alternate, bounded, lkm, median, time_process
from lkm.operations import module_files
from lkm.operations.trust import sign
from lkm.signing import keys
from tests.support.kernels import kernel_files
from tests.support.modules import built

LOOP = 'for f in "${@:5}"; do "$1" sha256 "$2" "$3" "$f" "$4/${f##*/}"; done'


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="lkm-bench-") as folder:
        return [*_trees(Path(folder)), *_rehearsal()]


def _trees(folder: Path) -> list[Row]:
    kernel = kernel_files()
    unsigned, ours_out, loop_out = (folder / name for name in ("unsigned", "ours", "loop"))
    sign.strip_modules(module_files.find([kernel.modules]), out=str(unsigned))
    paths = sorted(map(str, unsigned.rglob("*.ko")))
    loop_out.mkdir()
    pair = keys.save(keys.generate("bench"), folder)
    key, certificate = str(pair.private_key), str(pair.der)
    sign_ours = lkm("sign", str(unsigned), "--key", key, "--cert", certificate)
    tool = sign.find_sign_file()
    sign_loop = ["bash", "-c", LOOP, "loop", tool, key, certificate, str(loop_out), *paths]
    ours, loop = alternate(
        lambda: time_process([*sign_ours, "--out", str(ours_out)]),
        lambda: time_process(sign_loop),
        runs=2,
    )
    check = lkm("verify", str(kernel.modules))
    verified = median([time_process(check) for _ in range(4)][1:])
    return [
        bounded(f"sign {len(paths)} modules, wall", ours.wall, least=2, unit="s", peer=loop.wall),
        bounded(f"verify {len(paths)} modules, wall", verified.wall, most=10, unit="s"),
    ]


def _rehearsal() -> list[Row]:
    command = lkm("secureboot", "rehearse", str(built("hello")))
    time_process(command)  # boots what is not in the cache yet
    again = median([time_process(command) for _ in range(3)])
    return [
        bounded(
            "Secure Boot rehearsal, the second time",
            again.wall,
            most=10,
            unit="s",
            note="two machines behind Secure Boot, restored from their snapshots",
        )
    ]
