"""An oops with what debug data adds: source lines of every frame, the instructions, the suspect."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lkm.doctor import disassembly, symbolize, verdict
from lkm.doctor.disassembly import Instruction
from lkm.doctor.reports.facts import Location, Oops
from lkm.doctor.symbolize import SourceLine
from lkm.doctor.verdict import ModuleRange, RegisterNote, Suspect
from lkm.elf.file import Symbol
from lkm.errors import FormatError, ToolError
from lkm.module.compression import Compression
from lkm.module.image import ModuleImage
from lkm.module.names import normalize

Finder = Callable[[str, str], Path | None]
"""``(module, release) → file``; the module "" asks for the kernel's vmlinux."""


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A frame, the file that was looked into, and its source, the innermost inlined call first."""

    location: Location
    file: str = ""
    source: tuple[SourceLine, ...] = ()


@dataclass(frozen=True, slots=True)
class DecodedOops:
    """A report and everything read into it.

    ``frames`` starts with the place of the fault; ``notes`` say what could not be decoded and why.
    """

    oops: Oops
    words: str
    suspect: Suspect | None
    frames: tuple[DecodedFrame, ...]
    registers: tuple[RegisterNote, ...]
    instructions: tuple[Instruction, ...]
    notes: tuple[str, ...]


def decode(oops: Oops, finder: Finder, modules: Sequence[ModuleRange] = ()) -> DecodedOops:
    """Decode ``oops`` with the files ``finder`` knows and the modules' places, if known."""
    with _Objects(oops.release, finder) as objects:
        locations = verdict.frames(oops)
        frames = tuple(
            objects.frame(location, faulting=location is oops.location) for location in locations
        )
        return DecodedOops(
            oops=oops,
            words=verdict.in_words(oops),
            suspect=verdict.suspect(oops),
            frames=frames,
            registers=verdict.registers(oops, modules),
            instructions=objects.instructions(oops),
            notes=tuple(objects.notes),
        )


class _Objects(contextlib.AbstractContextManager["_Objects"]):
    """The ELF files that one report's frames are in, opened once; packed ones unpacked aside."""

    def __init__(self, release: str, finder: Finder) -> None:
        self._release = release
        self._finder = finder
        self._stack = contextlib.ExitStack()
        self.notes: list[str] = []
        self.open = functools.cache(self._open)

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self, module: str) -> tuple[Path, ModuleImage] | None:
        path = self._finder(module, self._release)
        if path is None:
            if module:
                self.notes.append(f"the file of the module {module} was not found here")
            return None
        try:
            image = ModuleImage.open(path)
            if image.compression is not Compression.NONE:
                path = self._stack.enter_context(_unpacked(image))
            return path, image
        except (FormatError, OSError) as error:
            self.notes.append(str(error))
            return None

    def _symbol(self, location: Location) -> tuple[Path, ModuleImage, Symbol] | None:
        opened = self.open(location.module) if location.function else None
        if opened is None:
            return None
        path, image = opened
        try:
            found = symbolize.find_symbol(
                image.elf, location.function, location.offset, location.size
            )
        except FormatError as error:
            self.notes.append(str(error))
            return None
        if found is None:
            self.notes.append(f"{path} has no symbol {location.function}: is it the same build?")
            return None
        return path, image, found

    def frame(self, location: Location, *, faulting: bool) -> DecodedFrame:
        """Return ``location`` with its source line.

        A frame holds a return address: the call is the instruction before it. The faulting
        instruction is itself.
        """
        found = self._symbol(location)
        if found is None:
            return DecodedFrame(location)
        path, image, symbol = found
        offset = location.offset if faulting else max(location.offset - 1, 0)
        try:
            source = symbolize.lookup(path, image.elf, symbol, offset)
        except ToolError as error:
            self._note_once(f"{error}" + (f" ({error.hint})" if error.hint else ""))
            source = ()
        except Exception as error:  # pyelftools raises what its internals meet in damaged DWARF
            self._note_once(f"{path}: its debug data cannot be read ({error!r})")
            source = ()
        return DecodedFrame(location, image.path, source)

    def _note_once(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def instructions(self, oops: Oops) -> tuple[Instruction, ...]:
        """Return the instructions around the fault: the module's own, else the log's bytes."""
        place = oops.location
        found = self._symbol(place) if place is not None and place.module else None
        if found is not None and place is not None and oops.machine in ("", "x86-64", "i386"):
            path, image, symbol = found
            section = image.elf.section_at(symbol.section).name
            listing = disassembly.of_function(
                path, section, symbol.value, symbol.size, place.offset
            )
            if listing:
                return listing
        return disassembly.of_code(oops.code, oops.machine) if oops.code is not None else ()


@contextlib.contextmanager
def _unpacked(image: ModuleImage) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lkm-oops-") as folder:
        path = Path(folder, f"{image.name}.ko")
        path.write_bytes(image.payload)
        yield path


def find_in_tree(folders: Sequence[str | os.PathLike[str]], name: str) -> Path | None:
    """Return the module ``name`` below one of ``folders``, the first that has it."""
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for file in names:
                stem, dot, rest = file.partition(".")
                if dot and rest.split(".")[0] == "ko" and normalize(stem) == name:
                    return Path(parent, file)
    return None
