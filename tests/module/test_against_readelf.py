"""Sections, symbols, relocations and notes of real modules, as binutils' readelf reads them."""

import random
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from lkm.elf.file import SHN_ABS, SHN_COMMON, SHN_UNDEF
from lkm.module.image import ModuleImage
from lkm.module.relocation_types import _TABLES, type_name
from tests.support import modules
from tests.support.elf_writer import Object, Section, Symbol
from tests.support.kernels import kernel_files

OWN = ("params", "exporter", "importer")


def paths() -> list[Path]:
    everything = sorted(kernel_files().modules.rglob("*.ko"))
    return random.Random(3).sample(everything, 12) + [modules.built(name) for name in OWN]


def readelf(option: str, path: Path) -> list[str]:
    shown = subprocess.run(
        ["readelf", f"-{option}W", path],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C"},
    )
    return shown.stdout.splitlines()


FLAGS = {"W": 0x1, "A": 0x2, "X": 0x4, "M": 0x10, "S": 0x20, "I": 0x40, "L": 0x80, "G": 0x200}
SECTION = re.compile(
    r" *\[ *(\d+)\] (\S*) +([A-Z_0-9]+) +([0-9a-f]{16}) ([0-9a-f]{6,}) ([0-9a-f]{6,})"
    r" ([0-9a-f]{2,}) ([A-Z ]{3}) *(\d+) +(\d+) +(\d+)$"
)


def test_sections() -> None:
    for path in paths():
        found = [m.groups() for m in map(SECTION.fullmatch, readelf("S", path)) if m]
        expected = [
            (
                int(index),
                name,
                int(offset, 16),
                int(size, 16),
                int(entry, 16),
                sum(FLAGS[letter] for letter in flags.strip()),
                int(link),
                int(info),
                int(alignment),
            )
            for index, name, _, _, offset, size, entry, flags, link, info, alignment in found
        ]
        ours = [
            (s.index, s.name, s.offset, s.size, s.entry_size, s.flags, s.link, s.info, s.alignment)
            for s in ModuleImage.open(path).sections
        ]
        assert ours == expected


BINDINGS = ("LOCAL", "GLOBAL", "WEAK")
TYPES = ("NOTYPE", "OBJECT", "FUNC", "SECTION", "FILE")
PLACES = {SHN_UNDEF: "UND", SHN_ABS: "ABS", SHN_COMMON: "COM"}


def test_symbols() -> None:
    for path in paths():
        image = ModuleImage.open(path)
        rows = [line.split() for line in readelf("s", path)]
        expected = [row[1:5] + row[6:] for row in rows if row and re.fullmatch(r"\d+:", row[0])]
        ours = []
        for symbol in image.elf.symbols:
            # readelf shows a section symbol by its section's name
            is_section = symbol.type == 3 and not symbol.name
            name = image.sections[symbol.section].name if is_section else symbol.name
            row = [f"{symbol.value:016x}", str(symbol.size), TYPES[symbol.type]]
            row += [BINDINGS[symbol.binding], PLACES.get(symbol.section, str(symbol.section))]
            ours.append(row + ([name] if name else []))
        for mine, theirs in zip(ours, expected, strict=True):
            theirs[1] = str(int(theirs[1], 0))
            assert mine == theirs


def test_relocations_by_type() -> None:
    for path in paths():
        listed = (re.match(r"[0-9a-f]{16} +[0-9a-f]{16} (R_\S+)", x) for x in readelf("r", path))
        expected = Counter(match[1] for match in listed if match)
        assert expected
        assert dict(ModuleImage.open(path).relocations) == expected


def test_build_id() -> None:
    for path in paths():
        (shown,) = re.findall(r"Build ID: ([0-9a-f]+)", "\n".join(readelf("n", path)))
        assert ModuleImage.open(path).build_id == shown


@pytest.mark.parametrize("machine", sorted(_TABLES))
def test_the_names_of_relocation_types(machine: int, tmp_path: Path) -> None:
    """Every type in the table is written into an object, which readelf then names."""
    _, table = _TABLES[machine]
    bits = 32 if machine in (3, 40, 8) else 64
    numbers = [n for n in range(1100) if type_name(machine, n) != f"type {n}"]
    if bits == 32:
        numbers = [n for n in numbers if n < 256]
    assert len(numbers) > 30, table
    text = Section(".text", bytes(16), relocations=[(0, "x", number, 0) for number in numbers])
    path = tmp_path / "types.o"
    order = ">" if machine == 22 else "<"
    path.write_bytes(Object(bits, order, machine, sections=[text], symbols=[Symbol("x")]).bytes())
    shown = [re.search(r" (R_\S+|unrecognized:)", line) for line in readelf("r", path)]
    names = [match[1] for match in shown if match]
    ours = [type_name(machine, number) for number in numbers]
    assert dict(ModuleImage.open(path).relocations) == dict.fromkeys(ours, 1)
    pairs = [(a, b) for a, b in zip(ours, names, strict=True) if b != "unrecognized:"]
    different = [(a, b) for a, b in pairs if a[:22] != b[:22]]
    assert len(pairs) > 30
    assert not different
