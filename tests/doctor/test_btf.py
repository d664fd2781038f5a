"""Type data against another vmlinux's: what the doctor foresees, and what the kernel logs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lkm.doctor.finding import Severity
from lkm.doctor.judge import case_for, judge
from lkm.doctor.target import Target
from lkm.doctor.target_image import read_image
from lkm.doctor.target_kernel import read_kernel
from lkm.kernel.emulated import open_machine
from lkm.kernel.kernel import Kernel
from lkm.module import signature
from lkm.module.image import ModuleImage
from lkm.vmlinux.image import open_cached
from tests.support.btf_rebase import rebased
from tests.support.kernels import KernelFiles, kernel_files

MODULES = ("crc7", "libarc4", "dummy", "loop")
MOVED = (
    (0, 0), (0, 1), (0, -1), (0, 7), (0, -31), (0, 400), (0, -4000), (0, 100_000),
    (1, 0), (-1, 0), (3, 0), (-3, 0), (50, 0), (-50, 0), (5000, 0), (-5000, 0), (12, 90),
    (-12, -90),
)  # fmt: skip


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel(open_machine(kernel_files().vmlinuz)) as opened:
        yield opened


def unsigned(kernel: KernelFiles, name: str) -> bytes:
    (path,) = kernel.modules.rglob(f"{name}.ko")
    return signature.strip(path.read_bytes())


def foreseen(path: Path, target: Target) -> list[str]:
    """The kernel's lines about type data that the doctor expects; here it is a warning only."""
    judgement = judge(case_for(str(path), path.read_bytes(), target))
    assert judgement.loads, judgement.findings
    found = [finding for finding in judgement.findings if finding.name == "btf"]
    assert all(finding.severity is Severity.WARNING for finding in found)
    return [finding.message for finding in found]


def logged(kernel: Kernel, path: Path) -> list[str]:
    with kernel.watch_log() as watch:
        kernel.load(path)
        lines = [record.text for record in watch.new_records()]
    return [line for line in lines if line.startswith("failed to validate module")]


@pytest.mark.parametrize("name", MODULES)
def test_data_of_many_a_vmlinux(name: str, kernel: Kernel, tmp_path: Path) -> None:
    """A vmlinux with some more or fewer types, and some more or fewer bytes of names."""
    files = kernel_files()
    target = read_kernel(kernel, read_image(files.vmlinuz))
    btf = open_cached(files.vmlinuz).btf
    whole = unsigned(files, name)
    section = ModuleImage.from_bytes(whole).elf.section(".BTF")
    assert section is not None
    start, end = section.offset, section.offset + section.size
    path, refused = tmp_path / f"{name}.ko", 0
    for by_types, by_names in MOVED:
        moved = rebased(
            whole[start:end],
            types=btf.count,
            names=len(btf.strings),
            by_types=by_types,
            by_names=by_names,
        )
        path.write_bytes(whole[:start] + moved + whole[end:])
        kernel.syscalls.rewind()  # type: ignore[attr-defined]
        lines = logged(kernel, path)
        assert foreseen(path, target) == lines, (by_types, by_names)
        refused += bool(lines)
    assert 5 < refused < len(MOVED)
