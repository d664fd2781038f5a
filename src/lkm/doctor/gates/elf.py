"""Is it an ELF object of this machine, whole? (``kernel/module/main.c: elf_validity_check``)

The kernel reads the header as its own class and byte order and checks it in this order; since 6.9
(``elf_validity_cache_*``) the order differs a little, which the target's checks tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lkm.doctor.case import ELF64_HEADER, ELF64_SECTION, Case, SectionRow
from lkm.doctor.causes import format
from lkm.doctor.finding import Evidence, Finding
from lkm.elf.file import SectionFlag, SectionType
from lkm.module import compression
from lkm.module.compression import Compression

_ET_REL = 1
# x86-64, ARM64, RISC-V, LoongArch, PowerPC (whose big-endian kernels Debian no longer builds)
_64_BIT_LITTLE_ENDIAN = frozenset({0, 21, 62, 183, 243, 258})
# Plain numbers: every section of thousands of modules is compared with them.
_WITHOUT_CONTENT = frozenset({int(SectionType.NULL), int(SectionType.NOBITS)})
_SYMTAB = int(SectionType.SYMTAB)
_ALLOC = int(SectionFlag.ALLOC)


@dataclass(frozen=True, slots=True)
class _Header:
    type: int
    machine: int
    offset: int
    entry_size: int
    count: int
    names: int


def check(case: Case) -> Iterator[Finding]:
    """Yield the first thing that is wrong; 64-bit little-endian targets only."""
    data = case.data[: case.content_length]
    if case.target.image.machine not in _64_BIT_LITTLE_ENDIAN:
        return
    if len(data) < ELF64_HEADER.size:
        message = f"Invalid ELF header len {len(data)}"
        short = format.damaged(message, case.path, "it is shorter than an ELF header")
        yield _as_said(case, short)
        return
    fields = ELF64_HEADER.unpack_from(data)
    header = _Header(fields[1], fields[2], fields[6], *fields[11:14])
    finding = (
        _identity(case, data, header) or _table(case, data, header) or _sections(case, data, header)
    )
    if finding:
        yield _as_said(case, finding)


def _as_said(case: Case, finding: Finding) -> Finding:
    """Return the finding with the kernel's own message, if it has but one for all of them."""
    if "terse-elf" in case.target.image.checks:
        return replace(finding, message="Module has invalid ELF structures")
    return finding


def _identity(case: Case, data: bytes, header: _Header) -> Finding | None:
    if data[:4] != b"\x7fELF":
        packing = compression.detect(data)
        name = packing.value if packing is not Compression.NONE else ""
        return format.not_elf(case.path, data[:16], name)
    if header.type != _ET_REL:
        return format.wrong_type(header.type, case.path)
    machine = case.target.image.machine
    if machine and header.machine != machine:
        return format.wrong_machine(header.machine, machine, case.path)
    return None


def _damaged(case: Case, message: str, what: str, *evidence: Evidence) -> Finding:
    return format.damaged(message, case.path, what, *evidence)


def _table(case: Case, data: bytes, header: _Header) -> Finding | None:
    if header.entry_size != ELF64_SECTION.size:
        return _damaged(case, "Invalid ELF section header size", "its section table")
    room = len(data) - header.offset
    if header.offset >= len(data) or header.count * ELF64_SECTION.size > room:
        return _damaged(
            case,
            "Invalid ELF section header overflow",
            "its section table lies past its end",
            Evidence("section table at", f"{header.offset:#x}, {header.count} entries"),
            Evidence("size of the file", f"{len(data):#x}"),
        )
    return None


def _sections(case: Case, data: bytes, header: _Header) -> Finding | None:
    rows = case.section_rows
    checks = case.target.image.checks
    if "one-modinfo" in checks:
        return (
            _null_section(case, rows)
            or _bounds(case, data, rows, 0)
            or _name_table(case, data, header, rows, new=True)
            or _names(case, rows, rows[header.names][5])
        )
    return (
        _name_table(case, data, header, rows, new=False)
        or _null_section(case, rows)
        or _bounds(case, data, rows, rows[header.names][5])
    )


def _name_table(
    case: Case, data: bytes, header: _Header, rows: list[SectionRow], *, new: bool
) -> Finding | None:
    if not 0 < header.names < header.count:
        return _damaged(
            case,
            f"Invalid ELF section name index: {header.names} || e_shstrndx ({header.names}) >= "
            f"e_shnum ({header.count})",
            "its section names are missing",
        )
    row = rows[header.names]
    if not new and _outside(row, data):
        message = f"Invalid ELF section hdr(type {row[1]})"
        return _damaged(case, message, "its section names lie past its end")
    if row[5] == 0:
        return _damaged(case, "empty section name table", "it has no section names")
    end = row[4] + row[5] - 1
    if end >= len(data) or data[end] != 0:
        message = "ELF Spec violation: section name table isn't null terminated"
        return _damaged(case, message, "its section names")
    return None


def _null_section(case: Case, rows: list[SectionRow]) -> Finding | None:
    if not rows or (rows[0][1], rows[0][5], rows[0][3]) == (SectionType.NULL, 0, 0):
        return None
    message = f"ELF Spec violation: section 0 type({rows[0][1]})!=SH_NULL or non-zero len or addr"
    return _damaged(case, message, "its section table")


def _outside(row: SectionRow, data: bytes) -> bool:
    return row[4] + row[5] > len(data)


def _bounds(case: Case, data: bytes, rows: list[SectionRow], names_size: int) -> Finding | None:
    """Check each section's place, in the older kernels also its name and a symbol table's link."""
    size = len(data)
    for index, row in enumerate(rows[1:], 1):
        kind = row[1]
        if kind in _WITHOUT_CONTENT:
            continue
        if names_size and kind == _SYMTAB and not 0 < row[6] < len(rows):
            return _damaged(case, _link_message(row[6], len(rows)), "its symbol table's names")
        if row[4] + row[5] > size:
            message = f"Invalid ELF section in module (section {index} type {kind})"
            where = Evidence("section at", f"{row[4]:#x}, {row[5]:#x} bytes")
            whole = Evidence("size of the file", f"{size:#x}")
            return _damaged(case, message, "a section lies past its end", where, whole)
        if names_size and row[2] & _ALLOC and row[0] >= names_size:
            message = f"Invalid ELF section name in module (section {index} type {kind})"
            return _damaged(case, message, "a section's name")
    return None


def _names(case: Case, rows: list[SectionRow], names_size: int) -> Finding | None:
    for index, row in enumerate(rows):
        if row[1] != SectionType.NULL and row[0] >= names_size:
            message = f"Invalid ELF section name in module (section {index} type {row[1]})"
            return _damaged(case, message, "a section's name")
    return None


def _link_message(link: int, count: int) -> str:
    return f"Invalid ELF sh_link!=SHN_UNDEF({link}) or (sh_link({link}) >= hdr->e_shnum({count})"
