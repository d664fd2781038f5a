"""Type data against another vmlinux's: what the doctor foresees, and what the kernel logs."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkm.doctor.finding import Severity
from lkm.doctor.judge import case_for, judge
from lkm.doctor.target import Target
from lkm.doctor.target_image import read_image
from lkm.doctor.target_kernel import read_kernel
from lkm.errors import KernelError
from lkm.kernel.emulated import open_machine
from lkm.kernel.kernel import Kernel
from lkm.module import signature
from lkm.module.image import ModuleImage
from lkm.operations.explanation import first_finding
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


def moved(module: bytes, kernel: KernelFiles, by_types: int, by_names: int) -> bytes:
    """Return the module as if its types had been made against a larger or smaller vmlinux."""
    btf = open_cached(kernel.vmlinuz).btf
    section = ModuleImage.from_bytes(module).elf.section(".BTF")
    assert section is not None
    start, end = section.offset, section.offset + section.size
    data = rebased(
        module[start:end],
        types=btf.count,
        names=len(btf.strings),
        by_types=by_types,
        by_names=by_names,
    )
    return module[:start] + data + module[end:]


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
    whole = unsigned(files, name)
    path, refused = tmp_path / f"{name}.ko", 0
    for by_types, by_names in MOVED:
        path.write_bytes(moved(whole, files, by_types, by_names))
        kernel.syscalls.rewind()  # type: ignore[attr-defined]
        lines = logged(kernel, path)
        assert foreseen(path, target) == lines, (by_types, by_names)
        refused += bool(lines)
    assert 5 < refused < len(MOVED)


def test_its_line_is_no_cause_where_the_kernel_only_warns(kernel: Kernel, tmp_path: Path) -> None:
    """Refused by its own init function, the processor lacking what it needs, after the warning."""
    files = kernel_files()
    path = tmp_path / "padlock-aes.ko"
    path.write_bytes(moved(unsigned(files, "padlock-aes"), files, 5000, 0))
    kernel.syscalls.rewind()  # type: ignore[attr-defined]
    with pytest.raises(KernelError) as caught:
        kernel.load(path)
    error = caught.value
    assert "failed to validate module [padlock_aes] BTF: -22" in error.log
    finding = first_finding(kernel, str(path), errno=error.errno, lines=error.log)
    assert (finding.name, finding.errno) == ("init-failed", errno.ENODEV)
