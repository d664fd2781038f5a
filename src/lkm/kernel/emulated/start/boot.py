"""Put a kernel into memory as a boot loader does.

Source: ``Documentation/arch/x86/boot.rst`` ("64-bit boot protocol"),
``Documentation/arch/x86/zero-page.rst``.
"""

from __future__ import annotations

import struct

import unicorn
from unicorn import x86_const as x86

from lkm.kernel import cpio, small_elf
from lkm.kernel.emulated.hardware import acpi
from lkm.kernel.emulated.hardware.engine_context import enter_long_mode
from lkm.kernel.emulated.hardware.patches import HALT, of_kernel
from lkm.vmlinux.image import VmlinuxImage

_ZERO_PAGE, _COMMAND_LINE, _TABLES = 0x20000, 0x21000, 0x30000
_SETUP_HEADER, _SETUP_END = 0x1F1, 0x201
_CONVENTIONAL, _RESERVED = 1, 2
_BACK_TO_HALT = b"\xeb\xfd"
_LOW_END, _BIOS, _HIGH = 0x9FC00, 0xF0000, 0x100000


def load(
    uc: unicorn.Uc, image: VmlinuxImage, boot_sector: bytes, ram_size: int, command_line: str
) -> None:
    """Write the kernel, its patches, its first root and its parameters; point RIP at its start.

    ``boot_sector`` are the first bytes of the vmlinuz, whose setup header is handed on.
    """
    elf = image.elf
    base = elf.segments[0].address - elf.segments[0].physical
    for segment in elf.segments:
        content = elf.data[segment.offset : segment.offset + segment.file_size]
        uc.mem_write(segment.physical, content)
    for patch in of_kernel(image):
        uc.mem_write(patch.address - base, patch.data)
    archive = first_root()
    archive_at = (ram_size - len(archive) - 0x2000) & ~0xFFF
    uc.mem_write(archive_at, archive)
    uc.mem_write(_COMMAND_LINE, command_line.encode() + b"\0")
    page = _zero_page(boot_sector, ram_size, archive_at, len(archive))
    uc.mem_write(_ZERO_PAGE, page)
    uc.mem_write(_BIOS, acpi.tables(_BIOS))
    _identity_map(uc)
    enter_long_mode(uc, _TABLES)
    uc.reg_write(x86.UC_X86_REG_RSI, _ZERO_PAGE)
    uc.reg_write(x86.UC_X86_REG_EFLAGS, 2)
    uc.reg_write(x86.UC_X86_REG_RIP, elf.entry)


def first_root() -> bytes:
    """Return the initramfs: our program as /init and /sbin/modprobe, and mount points."""
    program = small_elf.program(HALT + _BACK_TO_HALT)
    names = ("proc", "sys", "tmp", "mnt", "dev", "root", "run")
    return cpio.archive(
        (
            *(cpio.directory(name) for name in names),
            cpio.character_device("dev/console", 5, 1),
            cpio.regular("init", program, 0o755),
            cpio.regular("sbin/modprobe", program, 0o755),
        )
    )


def _zero_page(boot_sector: bytes, ram_size: int, archive: int, archive_size: int) -> bytes:
    page = bytearray(0x1000)
    if boot_sector[0x202:0x206] == b"HdrS":
        end = _SETUP_END + 1 + boot_sector[_SETUP_END]
        page[_SETUP_HEADER:end] = boot_sector[_SETUP_HEADER:end]
    struct.pack_into("<Q", page, 0x70, _BIOS)  # acpi_rsdp_addr
    page[0x210] = 0xFF  # type_of_loader: undefined
    page[0x211] |= 1  # loadflags: LOADED_HIGH
    struct.pack_into("<II", page, 0x218, archive, archive_size)
    struct.pack_into("<I", page, 0x228, _COMMAND_LINE)
    regions = (
        (0, _LOW_END, _CONVENTIONAL),
        (_LOW_END, 0x400, _RESERVED),
        (_BIOS, _HIGH - _BIOS, _RESERVED),
        (_HIGH, ram_size - _HIGH, _CONVENTIONAL),
    )
    page[0x1E8] = len(regions)
    for index, region in enumerate(regions):
        struct.pack_into("<QQI", page, 0x2D0 + 20 * index, *region)
    return bytes(page)


def _identity_map(uc: unicorn.Uc) -> None:
    """Map the first 4 GiB one to one in pages of 2 MiB, as startup_64 expects."""
    directories = [_TABLES + 0x2000 + 0x1000 * i for i in range(4)]
    uc.mem_write(_TABLES, struct.pack("<Q", _TABLES + 0x1003))
    uc.mem_write(_TABLES + 0x1000, struct.pack("<4Q", *(d + 3 for d in directories)))
    pages = (i * 0x200000 | 0x83 for i in range(2048))
    uc.mem_write(_TABLES + 0x2000, struct.pack("<2048Q", *pages))
