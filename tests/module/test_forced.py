"""A module made fit for a forced load by init_module, against what a real kernel then does."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from lkm.elf.file import ElfFile
from lkm.elf.source import BytesSource
from lkm.errors import KernelError
from lkm.kernel.emulated import open_machine
from lkm.kernel.emulated.machine import EmulatedMachine
from lkm.kernel.kernel import Kernel, LoadFlags
from lkm.kernel.syscalls import SyscallOutcome
from lkm.module import forced
from lkm.module.image import ModuleImage
from tests.support.kernels import kernel_files
from tests.support.modules import built

FORCED = 1 << 1  # TAINT_FORCED_MODULE


class _WithoutFinit(EmulatedMachine):
    def finit_module(self, descriptor: int, parameters: str, flags: int) -> SyscallOutcome:
        return SyscallOutcome(errno=errno.ENOSYS)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    machine = open_machine(kernel_files().vmlinuz)
    machine.__class__ = _WithoutFinit
    with Kernel(machine) as opened:
        yield opened


def with_other_vermagic() -> bytes:
    image = built("good").read_bytes()
    assert b" SMP preempt " in image
    return image.replace(b" SMP preempt ", b" SMP preempx ")


def test_what_is_taken_out() -> None:
    image = built("good").read_bytes()
    elf = ElfFile(BytesSource(forced.without_versions(image), ""))
    section = elf.section("__versions")
    assert section is not None
    assert not section.allocated
    assert ModuleImage.from_bytes(forced.without_vermagic(image)).modinfo.get("vermagic") is None
    assert len(forced.without_vermagic(image)) == len(image)


def test_without_finit_module_a_forced_load_works(kernel: Kernel) -> None:
    with pytest.raises(KernelError) as caught:
        kernel.load(with_other_vermagic())
    assert caught.value.errno == errno.ENOEXEC
    flags = LoadFlags.IGNORE_VERMAGIC | LoadFlags.IGNORE_MODVERSIONS
    assert kernel.load(with_other_vermagic(), flags=flags).name == "good"
    assert kernel.taint() & FORCED
