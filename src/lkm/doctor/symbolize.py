"""``function+offset`` in a module or a kernel with debug data → file and line.

addr2line answers in milliseconds where binutils is installed; pyelftools does without it. Both
read relocatable modules as kbuild leaves them: each section starts at address 0 there.
"""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lkm.elf.file import SHN_LORESERVE, ElfFile, ObjectType, Symbol
from lkm.errors import ToolError, missing_extra

_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A place in the source; ``function`` is the inlined one where the compiler inlined.

    ``text`` is the line itself where the file can be read here, else empty.
    """

    function: str
    file: str
    line: int
    text: str = ""


def find_symbol(elf: ElfFile, function: str, offset: int, size: int) -> Symbol | None:
    """Return the symbol that ``function+offset/size`` in a trace means.

    A name may occur twice in a module. ``size`` in a trace is the distance to the next symbol, so
    the right one is the smallest that has room for ``offset``, nearest to ``size``.
    """
    candidates = [
        symbol
        for symbol in elf.symbols
        if symbol.name == function and 0 < symbol.section < SHN_LORESERVE
    ]
    fitting = [symbol for symbol in candidates if not symbol.size or offset < symbol.size]
    return min(fitting or candidates, key=lambda s: abs(size - s.size), default=None)


def lookup(path: Path, elf: ElfFile, symbol: Symbol, offset: int) -> tuple[SourceLine, ...]:
    """Return the source of the byte at ``symbol + offset`` in the ELF file ``path``.

    The innermost inlined function comes first. Empty when the file has no line there.

    Raises:
        ToolError: neither addr2line nor pyelftools is installed, or addr2line failed.
    """
    section = _section_name(elf, symbol)
    address = symbol.value + offset
    if tool := shutil.which("addr2line"):
        found = _addr2line(tool, path, section, address)
    else:
        found = _pyelftools(path, symbol, address)
    return tuple(_with_text(line) for line in found)


def _section_name(elf: ElfFile, symbol: Symbol) -> str:
    """Return the section an address counts from: none in a linked file such as vmlinux."""
    relocatable = elf.header.type == ObjectType.RELOCATABLE
    return elf.section_at(symbol.section).name if relocatable else ""


def _addr2line(tool: str, path: Path, section: str, address: int) -> list[SourceLine]:
    command = [tool, "-f", "-i", "-e", str(path)]
    if section:
        command += ["-j", section]
    command.append(f"{address:#x}")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"addr2line did not answer ({error})", command=command) from error
    if done.returncode:
        raise ToolError(
            "addr2line failed", command=command, returncode=done.returncode, output=done.stderr
        )
    return _parse_addr2line(done.stdout.splitlines())


def _parse_addr2line(lines: Sequence[str]) -> list[SourceLine]:
    found = []
    for function, place in zip(lines[::2], lines[1::2], strict=False):
        file, _, number = place.partition(" (")[0].rpartition(":")
        if number.isdigit() and file != "??":
            found.append(SourceLine("" if function == "??" else function, file, int(number)))
    return found


def _pyelftools(path: Path, symbol: Symbol, address: int) -> list[SourceLine]:
    try:
        from elftools.elf.elffile import ELFFile  # an optional extra, needed here only
    except ImportError:
        error = missing_extra("elftools", "debug")
        error.hint += ", or install addr2line (package binutils)"
        raise error from None
    data = bytearray(path.read_bytes())
    base = _spread_sections(data, symbol.section)
    dwarf_owner = ELFFile(io.BytesIO(bytes(data)))
    if not dwarf_owner.has_dwarf_info(strict=True):
        return []
    dwarf = dwarf_owner.get_dwarf_info()
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        if found := _search_program(program, unit, base + address):
            return [SourceLine("", *found)]
    return []


_SPREAD = 1 << 32
_SHT_SYMTAB = 2
_SHF_ALLOC = 2
_ET_REL = 1


def _spread_sections(data: bytearray, wanted: int) -> int:
    """Give each section of a 64-bit little-endian relocatable file its own addresses.

    All sections of a module start at 0, so that a line table has several lines for one address.
    The values of the symbols are what relocation adds up, so moving those moves the line table.
    Returns where section ``wanted`` now starts (0 for a linked file, which needs none of it).
    """
    if data[4:6] != b"\x02\x01" or int.from_bytes(data[16:18], "little") != _ET_REL:
        return 0
    (table,) = struct.unpack_from("<Q", data, 0x28)
    entry, count = struct.unpack_from("<HH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * entry) for i in range(count)]
    for header in headers:
        if header[1] != _SHT_SYMTAB:
            continue
        for at in range(header[4], header[4] + header[5], 24):
            index, value = struct.unpack_from("<HQ", data, at + 6)
            if 0 < index < count and headers[index][2] & _SHF_ALLOC:
                struct.pack_into("<Q", data, at + 8, value + index * _SPREAD)
    return wanted * _SPREAD


def _search_program(program: object, unit: object, address: int) -> tuple[str, int] | None:
    """Return file and line of ``address`` in one unit's line program (pyelftools' objects)."""
    previous = None
    for entry in program.get_entries():  # type: ignore[attr-defined]
        state = entry.state
        if state is None:
            continue
        if previous is not None and previous.address <= address < state.address:
            return _file_name(program, unit, previous.file), previous.line
        previous = None if state.end_sequence else state
    return None


def _file_name(program: object, unit: object, number: int) -> str:
    header = program.header  # type: ignore[attr-defined]
    files = header["file_entry"]
    index = number if header["version"] >= 5 else number - 1
    if not 0 <= index < len(files):
        return "??"
    entry = files[index]
    name = entry.name.decode(errors="replace")
    directories = header["include_directory"]
    place = entry.dir_index if header["version"] >= 5 else entry.dir_index - 1
    top = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")  # type: ignore[attr-defined]
    base = top.value.decode(errors="replace") if top else ""
    folder = directories[place].decode(errors="replace") if 0 <= place < len(directories) else base
    return str(Path(base, folder, name))


def _with_text(line: SourceLine) -> SourceLine:
    try:
        with open(line.file, encoding="utf-8", errors="replace") as file:
            for number, text in enumerate(file, 1):
                if number == line.line:
                    return SourceLine(line.function, line.file, line.line, text.rstrip())
                if number > line.line:
                    break
    except (OSError, ValueError):
        pass
    return line
