"""The boot chain: what it takes, what it refuses, and that a snapshot of it is the same machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkm.errors import KernelError, NotFoundError, UnsupportedError
from lkm.kernel.kernel import Kernel
from lkm.kernel.vm import firmware, medium, secure_boot
from lkm.kernels.known import KnownKernel, find_kernel
from lkm.vmlinux import payload
from tests.support.kernels import KernelFiles
from tests.support.modules import built


def test_secure_boot_is_on_and_the_kernel_locked(kernel: KernelFiles) -> None:
    profile = secure_boot.profile_of(find_kernel(kernel.release))
    with Kernel(secure_boot.open_machine(profile)) as machine:
        assert machine.release == kernel.release
        assert "[integrity]" in machine.read_text("/sys/kernel/security/lockdown")
        assert machine.read_file("/sys/firmware/efi/mok-variables/SecureBoot") == b"\1"
        machine.load(kernel.modules / "kernel/drivers/block/loop.ko")
        with pytest.raises(KernelError) as caught:
            machine.load(built("hello"))
        assert caught.value.log == ("Loading of unsigned module is rejected",)


def test_an_unsigned_kernel_is_refused_before_it_is_booted(kernel: KernelFiles) -> None:
    unpacked = payload.extract(kernel.vmlinuz.read_bytes())
    with medium.in_memory(unpacked[:8192]) as image, pytest.raises(UnsupportedError) as caught:
        firmware.check_signed(Path(f"/proc/self/fd/{image}"))
    assert "is not signed for Secure Boot" in str(caught.value)


@pytest.mark.parametrize("head", [b"", b"MZ", b"MZ" + b"\xff" * 4000, b"MZ" + bytes(4000)])
def test_what_is_no_program_is_not_signed(head: bytes) -> None:
    with medium.in_memory(head.ljust(64, b"\0")) as image, pytest.raises(UnsupportedError):
        firmware.check_signed(Path(f"/proc/self/fd/{image}"))


def test_the_chain_starts_signed_kernels_only(kernel: KernelFiles) -> None:
    firmware.check_signed(kernel.vmlinuz)


def test_a_kernel_without_image_is_named() -> None:
    known = KnownKernel("1.2.3", Path("/"), None, None, None, fetched=False)
    with pytest.raises(NotFoundError, match=r"1\.2\.3"):
        secure_boot.profile_of(known)
