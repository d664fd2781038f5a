"""One question to the gates: this module, into that target, with these parameters."""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass

from lkm.doctor.target import Target
from lkm.errors import FormatError
from lkm.module import signature
from lkm.module.image import ModuleImage
from lkm.module.licence import is_gpl_compatible
from lkm.module.signature import Signature

ELF64_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
ELF64_SECTION = struct.Struct("<IIQQQQIIQQ")
SectionRow = tuple[int, int, int, int, int, int, int, int, int, int]
"""``struct elf64_shdr``: name, type, flags, address, offset, size, link, info, …"""


@dataclass(frozen=True)
class Case:
    """A load that has not happened.

    ``data`` are the unpacked bytes the kernel is given; ``force_vermagic`` and
    ``force_modversions`` stand for the flags of finit_module(2). ``parameters`` is one string as
    the kernel gets it; ``sources`` tells where a parameter was configured (``file:line``).
    ``verdict_only``: warnings that take long to find are not wanted.
    """

    image: ModuleImage
    target: Target
    data: bytes
    parameters: str = ""
    force_vermagic: bool = False
    force_modversions: bool = False
    sources: tuple[tuple[str, str], ...] = ()
    verdict_only: bool = False

    @property
    def path(self) -> str:
        """The module's file."""
        return self.image.path

    @functools.cached_property
    def module(self) -> str:
        """The name the kernel will use: the modinfo field, else from the file name."""
        try:
            return self.image.modinfo.get("name") or self.image.name
        except FormatError:
            return self.image.name

    @functools.cached_property
    def signature(self) -> Signature | None:
        """The appended signature; FormatError when its lengths are wrong."""
        return signature.read(self.data, self.path)

    @functools.cached_property
    def content_length(self) -> int:
        """How many bytes are left to look at after the kernel took the signature off."""
        if self.target.image.ignores_signatures:
            return len(self.data)
        found = self.signature
        return len(self.data) if found is None else found.content_length

    @functools.cached_property
    def section_rows(self) -> list[SectionRow]:
        """The section headers as numbers, of a file whose header says where they are."""
        (offset,) = struct.unpack_from("<Q", self.data, 0x28)
        (count,) = struct.unpack_from("<H", self.data, 0x3C)
        table = self.data[offset : offset + count * ELF64_SECTION.size]
        return list(ELF64_SECTION.iter_unpack(table))

    @functools.cached_property
    def has_versions(self) -> bool:
        """Whether the kernel will find symbol versions in it."""
        return not self.force_modversions and bool(
            self.image.elf.section("__versions") or self.image.elf.section("__version_ext_crcs")
        )

    @functools.cached_property
    def versions(self) -> dict[str, int]:
        """The checksums it was built against."""
        return {} if self.force_modversions else dict(self.image.versions)

    @functools.cached_property
    def proprietary(self) -> bool:
        """Whether its licence keeps GPL-only symbols from it."""
        return not is_gpl_compatible(self.image.licence)
