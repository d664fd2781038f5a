"""Every ELF class, byte order and table layout: made by the ELF writer, also read by readelf."""

import subprocess
from pathlib import Path

import pytest

from lkm.elf.file import ObjectType
from lkm.module.image import ModuleImage
from lkm.module.symbols import Export, Import
from tests.support.shapes import EXPORTS, IMPORTS, SHAPES, Shape, module
from tests.support.tools import kmod, lkm

every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)


@every_shape
def test_facts(shape: Shape) -> None:
    image = ModuleImage.from_bytes(module(shape), "shape.ko")
    header = image.elf.header
    assert (header.bits, header.little_endian) == (shape.bits, shape.order == "<")
    assert (header.machine, header.type) == (shape.machine, ObjectType.RELOCATABLE)
    assert image.depends == ("one", "two")
    assert image.init == "init_function"
    assert image.exit is None
    assert image.this_module_size == 0x100


@every_shape
def test_symbols(shape: Shape) -> None:
    image = ModuleImage.from_bytes(module(shape), "shape.ko")
    assert image.exports == tuple(
        Export(name, gpl, namespace if shape.namespaces else "", crc)
        for name, gpl, namespace, crc in EXPORTS
    )
    crcs = dict(IMPORTS)
    assert set(image.imports) == {
        Import("param_ops_int", None, False),
        Import("perhaps", None, True),
        *(Import(name, crc, False) for name, crc in crcs.items()),
    }
    assert image.versions == (("module_layout", 7), *IMPORTS)


@every_shape
def test_a_parameter(shape: Shape) -> None:
    (parameter,) = ModuleImage.from_bytes(module(shape), "shape.ko").parameters
    assert (parameter.name, parameter.type, parameter.description) == ("number", "int", "A number")
    assert (parameter.permission, parameter.operations) == (0o644, "param_ops_int")
    assert parameter.writable
    assert parameter.default == "42"


@every_shape
def test_readelf_sees_the_same(shape: Shape, tmp_path: Path) -> None:
    path = tmp_path / "shape.ko"
    path.write_bytes(module(shape))
    elf = ModuleImage.open(path).elf
    listed = subprocess.run(
        ["readelf", "-SsW", path], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}
    )
    assert "Warning" not in listed.stderr
    rows = [line.split() for line in listed.stdout.splitlines()]
    sections = [row for row in rows if row and row[0] == "["] + [
        row for row in rows if row and row[0].startswith("[") and row[0] != "["
    ]
    assert len(elf.sections) + 1 == len(sections)  # and the heading
    names = {row[7] for row in rows if len(row) == 8 and row[0].rstrip(":").isdigit()}
    assert names == {symbol.name for symbol in elf.symbols} - {""}


@every_shape
def test_modinfo_is_the_same(shape: Shape, tmp_path: Path) -> None:
    path = tmp_path / "shape.ko"
    path.write_bytes(module(shape))
    real = kmod("modinfo", path)
    assert real[0] == 0
    assert lkm("modinfo", path) == real
