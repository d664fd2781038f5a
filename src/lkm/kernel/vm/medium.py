"""The medium a machine boots from: a kernel given to QEMU, or a partition behind Secure Boot."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lkm.errors import LkmError
from lkm.kernel.vm import firmware, guest
from lkm.kernel.vm.profile import Profile


@dataclass(frozen=True, slots=True)
class Medium:
    """QEMU's arguments for it, and the open files they name."""

    arguments: tuple[str, ...] = ()
    descriptors: tuple[int, ...] = ()


@contextlib.contextmanager
def to_boot(profile: Profile, variables: int | None = None) -> Iterator[Medium]:
    """Return what the profile's machine boots from; it is there as long as the context.

    ``variables`` is the descriptor of a variable store to use, and to change, instead of a copy of
    the profile's.
    """
    if profile.firmware is not None:
        with _partition(profile, profile.firmware, variables) as medium:
            yield medium
        return
    with contextlib.ExitStack() as stack:
        kernel = stack.enter_context(in_memory(_bootable_image(profile)))
        initrd = stack.enter_context(in_memory(guest.initramfs(profile.modules)))
        yield Medium(
            (
                *("-kernel", f"/proc/self/fd/{kernel}", "-initrd", f"/proc/self/fd/{initrd}"),
                *("-append", profile.full_command_line),
            ),
            (kernel, initrd),
        )


@contextlib.contextmanager
def to_restore(profile: Profile) -> Iterator[Medium]:
    """Return the devices a machine was booted from, without what it has read from them."""
    if profile.firmware is None:
        yield Medium()
        return
    with in_memory(profile.firmware.variables) as store:
        yield Medium(firmware.drives(store, None), (store,))


@contextlib.contextmanager
def _partition(
    profile: Profile, chain: firmware.Firmware, variables: int | None
) -> Iterator[Medium]:
    firmware.check_signed(profile.vmlinuz)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lkm-esp-")))
        initramfs = guest.initramfs(profile.modules)
        command_line = profile.full_command_line
        firmware.write_partition(folder, chain, profile.vmlinuz, initramfs, command_line)
        store = variables
        if store is None:
            store = stack.enter_context(in_memory(chain.variables))
        yield Medium(firmware.drives(store, folder), (store,))


def _bootable_image(profile: Profile) -> bytes:
    """Return the kernel as an ELF file: QEMU starts it 3 s sooner than one that unpacks itself."""
    from lkm.vmlinux import payload  # its decompressors are not needed for a restore

    data = profile.vmlinuz.read_bytes()
    try:
        return payload.extract(data)
    except LkmError:
        return data  # QEMU knows more formats than we do


@contextlib.contextmanager
def in_memory(data: bytes) -> Iterator[int]:
    """Return the descriptor of a file in memory that holds ``data``."""
    descriptor = os.memfd_create("lkm-boot")
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        yield descriptor
    finally:
        os.close(descriptor)
