"""The kernel as a linked ELF file: sections, segments, and memory by address.

Source of the format: ``include/uapi/linux/elf.h``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from lkm.elf import machine, notes
from lkm.elf.file import ElfFile
from lkm.elf.source import BytesSource
from lkm.elf.types import LAYOUTS, Section
from lkm.errors import FormatError, UnsupportedError
from lkm.vmlinux import payload

_PT_LOAD = 1


@dataclass(frozen=True, slots=True)
class Segment:
    """A ``PT_LOAD`` program header: where it is in memory (virtual, physical) and in the file."""

    address: int
    physical: int
    offset: int
    file_size: int
    memory_size: int
    flags: int


class Executable:
    """An ELF file of class 32 or 64, in either byte order, as it lies in ``data``."""

    def __init__(self, data: bytes, path: str = "") -> None:
        self.data = data
        self.path = path
        if payload.is_arm64_image(data):
            raise UnsupportedError(
                f"{path or 'the kernel'} is a raw arm64 Image, which has no section headers",
                hint="give the vmlinux of the same build",
            )
        if data[:4] != b"\x7fELF" or len(data) < 64:
            raise FormatError("an ELF file", repr(data[:8]), path=path)
        self._elf = ElfFile(BytesSource(data, path))
        self.pointer_size = self._elf.header.bits // 8
        self.byte_order = self._elf.byte_order
        self.machine_number = self._elf.header.machine
        self._layout = LAYOUTS[data[4:6]]
        fields = self._layout.header.unpack_from(data)
        self.entry, self._phoff, self._phnum = fields[3], fields[4], fields[9]

    @property
    def machine(self) -> str:
        """The architecture as ``uname -m`` calls it (``x86_64``), or the ``EM_`` number."""
        return machine.word(self.machine_number)

    @functools.cached_property
    def sections(self) -> dict[str, Section]:
        """The sections by name; of several with one name the first."""
        return {section.name: section for section in reversed(self._elf.sections)}

    @functools.cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The ``PT_LOAD`` program headers, in file order."""
        wide = self.pointer_size == 8
        loads = []
        table = self._bytes(self._phoff, self._layout.segment.size * self._phnum)
        for header in self._layout.segment.iter_unpack(table):
            if header[0] != _PT_LOAD:
                continue
            if wide:
                _, flags, offset, address, physical, in_file, in_memory, _ = header
            else:
                _, offset, address, physical, in_file, in_memory, flags, _ = header
            loads.append(Segment(address, physical, offset, in_file, in_memory, flags))
        return tuple(loads)

    @property
    def build_id(self) -> str | None:
        """The GNU build id in hexadecimal, or ``None`` when the linker left none."""
        return notes.build_id(self.content(".notes") or b"", self.byte_order)

    def content(self, section: str) -> bytes | None:
        """Return the bytes of a section, or ``None`` when there is none of that name."""
        header = self.sections.get(section)
        return self._elf.data(header) or None if header else None

    def offset(self, address: int) -> int:
        """Return where in ``data`` the byte at a virtual address is."""
        for segment in self.segments:
            inside = address - segment.address
            if 0 <= inside < segment.file_size and segment.offset + inside < len(self.data):
                return segment.offset + inside
        raise FormatError("an address inside the kernel", f"{address:#x}", path=self.path)

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes from a virtual address."""
        return self._bytes(self.offset(address), size)

    def string(self, address: int, limit: int = 1024) -> str:
        """Return the NUL-terminated text at a virtual address, at most ``limit`` bytes long."""
        start = self.offset(address)
        end = self.data.find(b"\0", start, start + limit)
        if end < 0:
            raise FormatError("a NUL-terminated string", "none", path=self.path, offset=start)
        return self.data[start:end].decode("utf-8", "replace")

    def _bytes(self, offset: int, size: int) -> bytes:
        if offset + size > len(self.data):
            raise FormatError(
                f"{size} bytes", f"{max(len(self.data) - offset, 0)}", path=self.path, offset=offset
            )
        return self.data[offset : offset + size]
