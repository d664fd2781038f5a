"""Modules of a kernel's own tree, to be changed on purpose: their bytes, and places in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lkm.errors import NotFoundError
from lkm.kernels.known import KnownKernel
from lkm.module import signature
from lkm.module.compression import decompress
from lkm.module.image import ModuleImage


@dataclass(frozen=True, slots=True)
class ModuleSupply:
    """The modules of one kernel."""

    kernel: KnownKernel

    def find(self, module: str) -> Path:
        """Return a module's file; NotFoundError when the tree has none."""
        if self.kernel.modules is not None:
            for path in sorted(self.kernel.modules.rglob(f"{module}.ko*")):
                return path
        raise NotFoundError(
            f"{self.kernel.release} has no module {module} here",
            hint=f"lkm kernels fetch {self.kernel.release}",
        )

    def signed(self, module: str) -> bytes:
        """Return a module's bytes, unpacked, as the distribution signed them."""
        return decompress(self.find(module).read_bytes())

    def unsigned(self, module: str) -> bytearray:
        """Return a module's bytes without a signature."""
        return bytearray(signature.strip(self.signed(module)))


def section_of(data: bytes | bytearray, name: str) -> range:
    """Return where a section lies in a module's bytes."""
    section = ModuleImage.from_bytes(bytes(data)).elf.section(name)
    if section is None:
        raise NotFoundError(f"the module has no section {name}")
    return range(section.offset, section.offset + section.size)


def field_of(data: bytes | bytearray, key: str) -> range:
    """Return where the value of a ``.modinfo`` field lies, without its NUL."""
    info = section_of(data, ".modinfo")
    start = info.start
    for entry in data[info.start : info.stop].split(b"\0"):
        if entry.startswith(f"{key}=".encode()):
            return range(start + len(key) + 1, start + len(entry))
        start += len(entry) + 1
    raise NotFoundError(f"the module's .modinfo has no {key}")


def with_field(data: bytearray, text: str, *, instead: str = "alias") -> bytearray:
    """Put ``key=value`` into ``.modinfo`` in the place of the field ``instead``."""
    place = field_of(data, instead)
    start = place.start - len(instead) - 1
    room = place.stop - start
    encoded = text.encode()
    if len(encoded) > room:
        raise NotFoundError(f"no room for {text} in .modinfo")
    data[start : place.stop] = encoded.ljust(room, b"\0")
    return data
