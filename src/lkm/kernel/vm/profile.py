"""A virtual machine's profile: its properties, and the QEMU command line they give."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from lkm.errors import ToolError, UsageError
from lkm.kernel.guest.interface import AGENT_PORT, MODPROBE_PORT
from lkm.kernel.vm.firmware import Firmware

QEMU = "qemu-system-x86_64"
NAME_PREFIX = "lkm:"
"""What tells our machines from other QEMU processes; the kernel's release follows."""

# Like the processor of the emulated machine (SMAP too), but with AVX, and without what QEMU's
# translation lacks and would warn of.
CPU = "Haswell-noTSX,+smap,-pcid,-invpcid,-x2apic,-tsc-deadline"

# `unknown_nmi_panic`: a guest that hangs is sent an NMI, and says where it was. `pti=off`: without
# it each system call empties the TLB, a quarter of the time of a load in QEMU's translation.
BASE_COMMAND_LINE = (
    "console=ttyS0 quiet cryptomgr.notests tsc=nowatchdog no_timer_check panic=-1 "
    "unknown_nmi_panic pti=off"
)


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of machine: booted once, then restored for each use.

    ``command_line`` is added to what every machine gets; ``memory`` is in MiB; ``devices`` are
    more arguments for QEMU; with ``firmware`` the kernel is started through Secure Boot.
    """

    release: str
    vmlinuz: Path
    modules: Path | None
    command_line: str = ""
    cpus: int = 1
    memory: int = 256
    devices: tuple[str, ...] = ()
    firmware: Firmware | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.cpus <= 64:
            raise UsageError(f"a virtual machine has 1 to 64 processors, not {self.cpus}")
        if not 128 <= self.memory <= 1 << 16:
            raise UsageError(f"a virtual machine has 128 MiB of memory or more, not {self.memory}")

    @property
    def full_command_line(self) -> str:
        """The kernel's whole command line."""
        return f"{BASE_COMMAND_LINE} {self.command_line}".strip()


def find_qemu() -> str:
    """Return the path of QEMU; ToolError when it is not installed."""
    path = shutil.which(QEMU)
    if path is None:
        raise ToolError(f"{QEMU} is not installed", hint="apt-get install qemu-system-x86")
    return path


def machine_arguments(profile: Profile, accelerator: str) -> list[str]:
    """Return QEMU's arguments that the state of a machine depends on.

    Without a processor that has RDRAND, an early Python waits for entropy.
    """
    machine = "q35,memory-backend=ram" + (",smm=on" if profile.firmware else "")
    return [
        *("-name", f"{NAME_PREFIX}{profile.release}"),
        *("-M", machine, "-accel", accelerator, "-cpu", CPU),
        *("-smp", str(profile.cpus), "-m", f"{profile.memory}M"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-device", "virtio-serial-pci"),
        *("-device", f"virtserialport,chardev=agent,name={AGENT_PORT}"),
        *("-device", f"virtserialport,chardev=modprobe,name={MODPROBE_PORT}"),
        *profile.devices,
        *(profile.firmware.arguments if profile.firmware else ()),
    ]


def cache_key(profile: Profile, accelerator: str, guest: bytes) -> str:
    """Return the name of the profile's snapshot: whatever changes its content changes it.

    ``guest`` identifies the programs in the initramfs.
    """
    parts = [
        _identity(Path(os.path.realpath(find_qemu()))),
        "\0".join(machine_arguments(profile, accelerator)).encode(),
        profile.full_command_line.encode(),
        image_identity(profile.vmlinuz),
        guest,
        profile.firmware.identity if profile.firmware else b"",
    ]
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _identity(path: Path) -> bytes:
    status = path.stat()
    return f"{path}:{status.st_size}:{status.st_mtime_ns}".encode()


def image_identity(vmlinuz: Path) -> bytes:
    """Return the identity of a kernel image, without reading all of it.

    The head holds the build's version and date (Documentation/x86/boot.rst: kernel_version), the
    end its checksum and signature.
    """
    with open(vmlinuz, "rb") as file:
        head = file.read(1 << 16)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - (1 << 16)))
        return hashlib.blake2b(head + file.read() + size.to_bytes(8, "little")).digest()
