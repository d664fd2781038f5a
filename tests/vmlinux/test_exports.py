"""Exports: equal to Module.symvers; every entry shape; hostile tables."""

from __future__ import annotations

import struct

import pytest

from lkm.errors import FormatError
from lkm.vmlinux import exports
from lkm.vmlinux.executable import Executable
from lkm.vmlinux.image import open_cached
from tests.support import vmlinux_writer as writer
from tests.support.kernels import KernelFiles, fetched

BASE = writer.BASE
STRINGS, TABLE, CRCS = BASE + 0x1000, BASE + 0x2000, BASE + 0x3000
NAMES = b"alpha\0beta\0SPACE\0"
ALPHA, BETA, SPACE = STRINGS, STRINGS + 6, STRINGS + 11


_WITH_HEADERS = [kernel for kernel in fetched() if (kernel.headers / "Makefile").exists()]


@pytest.mark.parametrize("kernel", _WITH_HEADERS, ids=lambda kernel: kernel.release)
def test_equal_to_module_symvers(kernel: KernelFiles) -> None:
    wanted = {}
    for line in (kernel.headers / "Module.symvers").read_text().splitlines():
        crc, name, module, kind, namespace = line.split("\t")
        if module == "vmlinux":
            wanted[name] = (int(crc, 16), kind == "EXPORT_SYMBOL_GPL", namespace)
    # A kernel without MODVERSIONS has no checksums; modpost writes 0 for them.
    found = {e.name: (e.crc or 0, e.gpl, e.namespace) for e in open_cached(kernel.vmlinuz).exports}
    assert len(wanted) > 8_000
    assert found == wanted


def _image(table: bytes, crcs: bytes = b"") -> Executable:
    sections = {
        "__ksymtab": (TABLE, table),
        "__ksymtab_strings": (STRINGS, NAMES),
        ".text": (BASE, bytes(64)),
    }
    if crcs:
        sections["__kcrctab"] = (CRCS, crcs)
    return Executable(writer.elf(sections))


def _relative(*addresses: int) -> bytes:
    return b"".join(
        struct.pack("<i", address - (TABLE + 4 * n) if address else 0)
        for n, address in enumerate(addresses)
    )


def _absolute(*addresses: int) -> bytes:
    return struct.pack(f"<{len(addresses)}Q", *addresses)


@pytest.mark.parametrize("pack", [_relative, _absolute])
@pytest.mark.parametrize("with_crcs", [True, False])
def test_entries_with_namespace(pack: object, with_crcs: bool) -> None:
    assert callable(pack)
    table = pack(BASE, ALPHA, 0, BASE + 16, BETA, SPACE)
    found = exports.read(_image(table, struct.pack("<II", 7, 9) if with_crcs else b""))
    assert [(e.name, e.address, e.namespace) for e in found] == [
        ("alpha", BASE, ""),
        ("beta", BASE + 16, "SPACE"),
    ]
    assert [e.crc for e in found] == ([7, 9] if with_crcs else [None, None])
    assert exports.from_bytes(exports.to_bytes(found)) == found


@pytest.mark.parametrize("pack", [_relative, _absolute])
def test_entries_of_kernels_before_namespaces(pack: object) -> None:
    assert callable(pack)
    found = exports.read(_image(pack(BASE, ALPHA, BASE + 16, BETA), struct.pack("<II", 7, 9)))
    assert [(e.name, e.crc) for e in found] == [("alpha", 7), ("beta", 9)]


def test_gpl_only_ones_told_by_flags() -> None:
    sections = {
        "__ksymtab": (TABLE, _relative(BASE, ALPHA, 0, BASE + 16, BETA, 0)),
        "__ksymtab_strings": (STRINGS, NAMES),
        "__kflagstab": (CRCS, b"\0\1"),
        ".text": (BASE, bytes(64)),
    }
    found = exports.read(Executable(writer.elf(sections)))
    assert [(e.name, e.gpl) for e in found] == [("alpha", False), ("beta", True)]


def test_no_exports() -> None:
    assert exports.read(Executable(writer.elf({".text": (BASE, b"x")}))) == ()


@pytest.mark.parametrize(
    "table",
    [b"x", bytes(24), _relative(BASE, BASE + 999999, 0), _absolute(0, 1 << 63, 5), b"\xff" * 48],
)
def test_entries_that_name_nothing(table: bytes) -> None:
    with pytest.raises(FormatError):
        exports.read(_image(table))


def test_name_without_end() -> None:
    sections = {
        "__ksymtab": (TABLE, _relative(BASE, STRINGS, 0)),
        "__ksymtab_strings": (STRINGS, b"x" * 5000),
    }
    with pytest.raises(FormatError, match="NUL-terminated"):
        exports.read(Executable(writer.elf(sections)))
