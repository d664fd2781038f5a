"""``ModuleImage``: everything a .ko says of itself, read when asked for."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from lkm.elf.file import ElfFile, Section
from lkm.elf.source import ByteSource, BytesSource, FileSource

# What modinfo needs is imported here, the rest where it is used: importing all takes longer than
# reading a module does.
from lkm.module import compression as packing
from lkm.module import modinfo, signature
from lkm.module.compression import Compression
from lkm.module.names import module_name as name_of

if TYPE_CHECKING:
    from lkm.module.memory import ModuleMemory
    from lkm.module.parameters import Parameter
    from lkm.module.symbols import Export, Import
    from lkm.module.vermagic import Vermagic
    from lkm.taint import TaintFlag

__all__ = ["ModuleImage", "name_of"]

THIS_MODULE = ".gnu.linkonce.this_module"


class ModuleImage:
    """A kernel module file; each attribute reads what it needs and keeps the answer.

    Attributes raise ``FormatError`` where the file is not what it claims to be. An image made by
    ``open`` keeps the file open for as long as it lives (or until ``close``), unless packed.
    """

    def __init__(self, source: ByteSource, compression: Compression = Compression.NONE) -> None:
        self._source = source
        self.path = source.path
        self.compression = compression

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> ModuleImage:
        """Return the module in the file ``path``, packed or not."""
        source = FileSource(os.fspath(path))
        if packing.detect(source.read(0, min(6, source.size))) is Compression.NONE:
            return cls(source)
        data = source.read(0, source.size)
        source.close()
        return cls.from_bytes(data, source.path)

    @classmethod
    def from_bytes(cls, data: bytes, path: str = "<bytes>") -> ModuleImage:
        """Return the module in ``data``, packed or not; ``path`` is for its name and messages."""
        unpacked = packing.decompress(data, path=path)
        return cls(BytesSource(unpacked, path), packing.detect(data))

    def close(self) -> None:
        """Close the file, if there is one; attributes not read yet can then not be read."""
        if isinstance(self._source, FileSource):
            self._source.close()

    @property
    def name(self) -> str:
        """The module's name, from its file name."""
        return name_of(self.path)

    @property
    def payload(self) -> bytes:
        """The whole unpacked file, signature included: what the kernel is given."""
        return self._source.read(0, self._source.size)

    @functools.cached_property
    def elf(self) -> ElfFile:
        """The ELF file."""
        return ElfFile(self._source)

    @functools.cached_property
    def modinfo(self) -> modinfo.ModInfo:
        """The fields of ``.modinfo``, in file order."""
        return modinfo.parse(self.elf.named_data(".modinfo"))

    @functools.cached_property
    def vermagic(self) -> Vermagic | None:
        """The version magic, ``None`` where the module has none."""
        from lkm.module import vermagic

        text = self.modinfo.get("vermagic")
        return None if text is None else vermagic.parse(text)

    @functools.cached_property
    def exports(self) -> tuple[Export, ...]:
        """The symbols it offers."""
        from lkm.module import symbols

        return symbols.exports(self.elf)

    @functools.cached_property
    def imports(self) -> tuple[Import, ...]:
        """The symbols it needs, in symbol-table order."""
        from lkm.module import symbols

        return symbols.imports(self.elf)

    @functools.cached_property
    def versions(self) -> tuple[tuple[str, int], ...]:
        """The CRCs it was built against, ``module_layout``'s among them, in file order."""
        from lkm.module import symbols

        return symbols.versions(self.elf)

    @functools.cached_property
    def depends(self) -> tuple[str, ...]:
        """The modules it says it needs, in its order."""
        return tuple(name for name in (self.modinfo.get("depends") or "").split(",") if name)

    @functools.cached_property
    def signature(self) -> signature.Signature | None:
        """The signature appended to it, unverified; ``None`` when there is none."""
        return signature.read_source(self._source)

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters it takes."""
        from lkm.module import parameters

        return parameters.parameters(self.elf, self.modinfo)

    @property
    def sections(self) -> tuple[Section, ...]:
        """The sections, in file order, the null section first."""
        return self.elf.sections

    @functools.cached_property
    def relocations(self) -> tuple[tuple[str, int], ...]:
        """How many relocation entries there are of each type, the most frequent first."""
        from lkm.module import relocations

        return relocations.counted(self.elf)

    @functools.cached_property
    def memory(self) -> ModuleMemory:
        """The memory it takes once loaded into the kernel it was built for."""
        from lkm.module import memory

        return memory.measure(self.elf, self.vermagic.release if self.vermagic else "")

    @functools.cached_property
    def build_id(self) -> str | None:
        """The linker's build id in hexadecimal."""
        from lkm.elf import notes

        return notes.build_id(self.elf.named_data(".note.gnu.build-id"), self.elf.byte_order)

    @property
    def init(self) -> str | None:
        """The name of its init function, ``None`` when it has none."""
        return self._entry_points[0]

    @property
    def exit(self) -> str | None:
        """The name of its exit function; without one it cannot be unloaded."""
        return self._entry_points[1]

    @functools.cached_property
    def _entry_points(self) -> tuple[str | None, str | None]:
        from lkm.module import symbols

        return (
            symbols.function_behind(self.elf, "init_module"),
            symbols.function_behind(self.elf, "cleanup_module"),
        )

    @property
    def this_module_size(self) -> int | None:
        """The size of its ``struct module`` in bytes, which the kernel's has to match."""
        section = self.elf.section(THIS_MODULE)
        return section.size if section else None

    @property
    def licence(self) -> str | None:
        """The value of MODULE_LICENSE."""
        return self.modinfo.get("license")

    @property
    def aliases(self) -> tuple[str, ...]:
        """The values of MODULE_ALIAS and of the device tables."""
        return self.modinfo.all("alias")

    @property
    def softdeps(self) -> tuple[str, ...]:
        """The values of MODULE_SOFTDEP, as written."""
        return self.modinfo.all("softdep")

    @property
    def out_of_tree(self) -> bool:
        """Whether it was built outside the kernel's tree (taint O)."""
        return self.modinfo.get("intree") is None

    @property
    def staging(self) -> bool:
        """Whether it is from drivers/staging (taint C)."""
        return self.modinfo.get("staging") is not None

    @property
    def livepatch(self) -> bool:
        """Whether it is a live patch (taint K)."""
        return self.modinfo.get("livepatch") is not None

    @property
    def proprietary(self) -> bool:
        """Whether its licence is not compatible with the GPL (taint P)."""
        from lkm.module import licence

        return not licence.is_gpl_compatible(self.licence)

    @property
    def retpoline(self) -> bool:
        """Whether it was compiled with retpolines."""
        return self.modinfo.get("retpoline") is not None

    @property
    def has_dwarf(self) -> bool:
        """Whether it has debug information with source lines."""
        return any(self.elf.section(name) for name in (".debug_info", ".zdebug_info"))

    @property
    def has_btf(self) -> bool:
        """Whether it has BTF type information."""
        return self.elf.section(".BTF") is not None

    @property
    def taints(self) -> tuple[TaintFlag, ...]:
        """The taint flags it sets when loaded, but for E, which the kernel's keys decide.

        Source: ``kernel/module/main.c: check_modinfo, setup_modinfo``.
        """
        from lkm import taint

        letters = {
            "P": self.proprietary,
            "C": self.staging,
            "O": self.out_of_tree,
            "K": self.livepatch,
            "N": self.modinfo.get("test") is not None,
        }
        return taint.from_letters(letter for letter, applies in letters.items() if applies)
