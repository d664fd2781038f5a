"""EFI firmware with Secure Boot switched on, and the boot chain it starts: shim, GRUB, kernel.

The kernel is never given to QEMU directly (``-kernel``): OVMF then starts an unsigned one too,
while it reports Secure Boot. It lies with the loaders on an EFI system partition, which QEMU makes
of a folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

from lkm.errors import ToolError, UnsupportedError

PACKAGES = "ovmf shim-signed grub-efi-amd64-signed"

_CODE = ("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd")
_VARIABLES = ("/usr/share/OVMF/OVMF_VARS_4M.ms.fd",)
_SHIM = ("/usr/lib/shim/shimx64.efi.signed", "/usr/lib/shim/shimx64.efi.signed.latest")
_MOK_MANAGER = ("/usr/lib/shim/mmx64.efi.signed", "/usr/lib/shim/mmx64.efi")
_GRUB = ("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",)

# Where the signed GRUBs of Debian and Ubuntu look for their configuration.
_GRUB_PREFIXES = ("EFI/debian", "EFI/ubuntu")
_GRUB_CONFIGURATION = "set timeout=0\nlinux /vmlinuz {command_line}\ninitrd /initrd\nboot\n"

_PE_CERTIFICATES = 4  # index of the table in a PE image's data directories
# What QEMU makes of a folder has this size (block/vvfat.c); a restored machine reads none of it.
_PARTITION_SIZE = 528482304


@dataclass(frozen=True, slots=True)
class Firmware:
    """The files of a Secure Boot chain, and the bytes of the firmware's variable store."""

    code: Path
    shim: Path
    mok_manager: Path
    grub: Path
    variables: bytes

    @property
    def arguments(self) -> tuple[str, ...]:
        """QEMU's arguments but for the variable store and the partition."""
        return (
            *("-global", "driver=cfi.pflash01,property=secure,value=on"),
            *("-global", "ICH9-LPC.disable_s3=1"),
            *("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={self.code}"),
        )

    @property
    def identity(self) -> bytes:
        """The identity of this boot chain, its variables included."""
        digest = hashlib.blake2b(self.variables)
        for path in (self.code, self.shim, self.mok_manager, self.grub):
            status = path.stat()
            digest.update(f"{path}:{status.st_size}:{status.st_mtime_ns}\0".encode())
        return digest.digest()


def find(variables: bytes | None = None) -> Firmware:
    """Return the installed chain, with the vendor's keys in its variables unless given others.

    Raises ToolError, which names the packages, when a part is missing.
    """
    return Firmware(
        _first(_CODE), _first(_SHIM), _first(_MOK_MANAGER), _first(_GRUB),
        variable_template().read_bytes() if variables is None else variables,
    )  # fmt: skip


def variable_template() -> Path:
    """Return the variable store with Secure Boot on and the vendor's keys in it."""
    return _first(_VARIABLES)


def _first(candidates: tuple[str, ...]) -> Path:
    for path in map(Path, candidates):
        if path.exists():
            return path
    raise ToolError(f"{candidates[0]} is missing", hint=f"apt-get install {PACKAGES}")


def check_signed(vmlinuz: Path) -> None:
    """Raise UnsupportedError for an image without a signature, which shim would refuse."""
    with open(vmlinuz, "rb") as file:
        head = file.read(4096)
    if not _certificate_table_size(head):
        raise UnsupportedError(
            f"{vmlinuz} is not signed for Secure Boot: shim does not start it",
            hint="take a distribution's signed kernel: lkm kernels fetch amd64",
        )


def _certificate_table_size(head: bytes) -> int:
    """Return the size of a PE32+ image's certificate table, 0 when there is none."""
    if head[:2] != b"MZ":
        return 0
    (pe,) = struct.unpack_from("<I", head, 0x3C)
    entry = pe + 24 + 112 + 8 * _PE_CERTIFICATES
    if entry + 8 > len(head) or head[pe : pe + 4] != b"PE\0\0":
        return 0
    size: int = struct.unpack_from("<II", head, entry)[1]
    return size


def write_partition(
    folder: Path, firmware: Firmware, vmlinuz: Path, initramfs: bytes, command_line: str
) -> None:
    """Fill a folder with what the firmware, shim and GRUB look for."""
    boot = folder / "EFI/BOOT"
    boot.mkdir(parents=True)
    shutil.copy(firmware.shim, boot / "BOOTX64.EFI")
    shutil.copy(firmware.mok_manager, boot / "mmx64.efi")
    shutil.copy(firmware.grub, boot / "grubx64.efi")
    for prefix in _GRUB_PREFIXES:
        (folder / prefix).mkdir()
        text = _GRUB_CONFIGURATION.format(command_line=command_line)
        (folder / prefix / "grub.cfg").write_text(text)
    shutil.copy(vmlinuz, folder / "vmlinuz")
    (folder / "initrd").write_bytes(initramfs)


def drives(variables: int, partition: str | os.PathLike[str] | None) -> tuple[str, ...]:
    """Return the arguments for the variable store (a descriptor) and the partition's folder.

    Without a folder the partition is an empty one of the same size, for a machine that has
    booted.
    """
    content = (
        f"file=fat:{os.fspath(partition)}"
        if partition
        else f"file.driver=null-co,file.size={_PARTITION_SIZE}"
    )
    store = f"file.driver=file,file.filename=/proc/self/fd/{variables},file.locking=off"
    return (
        *("-drive", f"if=pflash,format=raw,unit=1,{store}"),
        *("-drive", f"if=none,id=esp,format=raw,readonly=on,{content}"),
        *("-device", "virtio-blk-pci,drive=esp,bootindex=0"),
    )
