"""depmod on modules no compiler here makes: other classes and byte orders, cycles, odd names."""

import random
import struct
from pathlib import Path

import pytest

from tests.support.elf_writer import Object, Section, Symbol
from tests.support.huge import SECTIONS, enlarged
from tests.support.trees import both, kmod_depmod, lkm_depmod, outputs

RELEASE = "6.1.0"


def module(
    exports: tuple[str, ...] = (),
    imports: tuple[str, ...] = (),
    modinfo: bytes = b"license=GPL\0",
    *,
    bits: int = 64,
    order: str = "<",
    machine: int = 62,
    versions: tuple[str, ...] | None = None,
    checksums: bool = True,
) -> bytes:
    """Return a module that exports and imports these symbols."""
    made = Object(bits, order, machine)
    made.sections = [Section(".modinfo", modinfo), Section(".text", bytes(8))]
    if exports:
        strings = b"".join(name.encode() + b"\0" for name in exports)
        made.sections.append(Section("__ksymtab_strings", strings))
        if checksums:
            made.sections.append(Section("__kcrctab", bytes(4 * len(exports))))
            made.symbols += [Symbol(f"__crc_{name}", "*ABS*", 7) for name in exports]
        made.symbols += [Symbol(name, ".text") for name in exports]
    if versions is not None:
        word = "Q" if bits == 64 else "I"
        record = struct.Struct(f"{order}{word}{64 - bits // 8}s")
        data = b"".join(record.pack(7, name.encode()) for name in versions)
        made.sections.append(Section("__versions", data))
    made.symbols += [Symbol(name, binding=2 if name == "weak" else 1) for name in imports]
    return made.bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the empty module folder of a root."""
    folder = tmp_path / "lib/modules" / RELEASE
    folder.mkdir(parents=True)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        (folder / name).write_bytes(b"")
    return folder


def hold(folder: Path, *options: str) -> dict[str, bytes]:
    theirs, ours = both(folder.parents[2], RELEASE, *options)
    assert ours == theirs
    return ours


SHAPES = [
    (bits, order, machine)
    for bits, order, machine in (
        (64, "<", 62),
        (64, ">", 22),
        (32, "<", 3),
        (32, ">", 8),
        (64, ">", 43),
        (32, ">", 2),
        (64, ">", 21),
    )
]


@pytest.mark.parametrize(("bits", "order", "machine"), SHAPES)
@pytest.mark.parametrize("with_versions", [True, False])
def test_other_architectures(
    folder: Path, bits: int, order: str, machine: int, with_versions: bool
) -> None:
    shape = {"bits": bits, "order": order, "machine": machine}
    wants = {
        "top": ("middle_one", "base_two", "kmalloc"),
        "middle": ("base_one", "base_two"),
        "base": ("weak", ".dotted"),
        "other": ("base_two", "middle_one", "gone"),
    }
    for name, imports in wants.items():
        versions = ("module_layout", *imports) if with_versions else None
        (folder / f"{name}.ko").write_bytes(
            module(
                (f"{name}_one", f"{name}_two"),
                imports,
                b"alias=pci:v0000" + name.encode() + b"*\0softdep=pre: x\0",
                versions=versions,
                checksums=with_versions,
                **shape,  # type: ignore[arg-type]
            )
        )
    ours = hold(folder)
    assert b"top.ko: middle.ko base.ko\n" in ours["modules.dep"]


def test_versions_that_do_not_cover_the_symbols(folder: Path) -> None:
    (folder / "a.ko").write_bytes(module(("a_1", "a_2")))
    (folder / "b.ko").write_bytes(module(("b_1",), ("a_2",), versions=("module_layout",)))
    (folder / "c.ko").write_bytes(module((), ("b_1",), versions=("module_layout", "b_1", "a_1")))
    (folder / "d.ko").write_bytes(module((), (), versions=("a_1",)))
    ours = hold(folder)
    assert b"b.ko: a.ko\n" in ours["modules.dep"]


def test_order_of_released_dependencies(folder: Path) -> None:
    chosen = random.Random(3)
    names = [f"m{n}" for n in range(40)]
    for place, name in enumerate(names):
        needed = [f"{other}_x" for other in chosen.sample(names[:place], min(place, 4))]
        versions = ("module_layout", *sorted(needed))
        (folder / f"{name}.ko").write_bytes(
            module((f"{name}_x",), tuple(needed), versions=versions)
        )
    hold(folder)


CYCLES: dict[str, dict[str, tuple[str, ...]]] = {
    "two": {"a": ("b",), "b": ("a",)},
    "three and a tail": {"a": ("b",), "b": ("c",), "c": ("a", "d"), "d": ()},
    "two cycles": {"a": ("b",), "b": ("a",), "c": ("d",), "d": ("c",), "e": ("a",)},
    "itself": {"a": ("a",), "b": ()},
}


def write_cycle(folder: Path, needs: dict[str, tuple[str, ...]]) -> None:
    for name, needed in needs.items():
        versions = ("module_layout", *(f"{other}_x" for other in needed))
        imports = tuple(f"{other}_x" for other in needed if other != name)
        (folder / f"{name}.ko").write_bytes(module((f"{name}_x",), imports, versions=versions))


@pytest.mark.parametrize("name", sorted(CYCLES))
def test_cycles(folder: Path, name: str) -> None:
    write_cycle(folder, CYCLES[name])
    theirs = kmod_depmod(folder.parents[2], RELEASE)
    assert theirs.returncode == 1
    assert "Cycle detected" in theirs.stderr
    ours = lkm_depmod(folder.parents[2], RELEASE)
    assert (ours.returncode, ours.stderr) == (theirs.returncode, theirs.stderr)
    assert outputs(folder) == {}


@pytest.mark.parametrize(
    "needs",
    [
        {"r": ("a",), "a": ("r", "b"), "b": ("a",)},
        {"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ("a",)},
    ],
)
def test_cycles_that_share_modules(folder: Path, needs: dict[str, tuple[str, ...]]) -> None:
    # kmod never comes back from these.
    write_cycle(folder, needs)
    ours = lkm_depmod(folder.parents[2], RELEASE)
    assert ours.returncode == 1
    assert f"Found {len(needs)} modules in dependency cycles!" in ours.stderr


def test_odd_modinfo(folder: Path) -> None:
    for name, modinfo in {
        "a": b"\0\0alias=x-y[a-z]-z\0\0alias=x-y[a-z]-z\0alias=unmatched]\0license\0",
        "b": b"alias=un[matched\0alias=devname:b/c\0alias=char-major-10-200\0alias=no end",
        "c": b"alias=devname:only\0alias=block-major-x-1\0softdep=pre: a\0softdep=post: b\0",
        "d": b"alias=block-major-8-*\0alias=devname:d\0alias=char-major- 5-+7\0alias=x y\0",
        "e": b"alias=\0xalias=no\0alias=x_y[a-z]_z\0",
        "f": b"",
        "g": b"\0",
        "h": b"alias=devname:first\0alias=devname:second\0alias=char-major-4294967297-1\0",
    }.items():
        (folder / f"{name}.ko").write_bytes(module(modinfo=modinfo))
    ours = hold(folder, "-w")
    assert b"devname" not in ours["modules.dep"]


def test_weakdeps(folder: Path) -> None:
    (folder / "a.ko").write_bytes(module(modinfo=b"weakdep=b c\0"))
    assert lkm_depmod(folder.parents[2], RELEASE).returncode == 0
    assert (folder / "modules.weakdep").read_text().splitlines()[1:] == ["weakdep a b c"]
    (folder / "a.ko").write_bytes(module())
    assert lkm_depmod(folder.parents[2], RELEASE).returncode == 0
    assert len((folder / "modules.weakdep").read_text().splitlines()) == 1


def test_exports_of_the_same_name(folder: Path) -> None:
    for name in ("a", "b", "c"):
        (folder / f"{name}.ko").write_bytes(module(("shared", f"{name}_x")))
    (folder / "user.ko").write_bytes(module((), ("shared",), versions=("module_layout", "shared")))
    hold(folder)


def test_a_name_that_is_not_ascii(folder: Path) -> None:
    (folder / "a.ko").write_bytes(module(modinfo="alias=süß\0alias=plain\0".encode()))
    result = lkm_depmod(folder.parents[2], RELEASE)
    assert result.returncode == 0
    assert "only 7-bit ASCII is supported" in result.stderr
    assert "alias süß a\n" in (folder / "modules.alias").read_text()


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_larger_than_memory(folder: Path, section: str) -> None:
    (folder / "kernel").mkdir()
    enlarged(section, folder / "kernel/huge.ko")
    told = lkm_depmod(folder.parents[2], folder.name)
    assert "huge.ko: Invalid argument" in told.stderr
    assert "kernel/huge.ko:\n" in (folder / "modules.dep").read_text()


def test_damaged_bytes(folder: Path) -> None:
    good = module(("x_1", "x_2"), ("y_1",), b"alias=a*\0", versions=("module_layout", "y_1"))
    chosen = random.Random(5)
    for number in range(150):
        data = bytearray(good[: chosen.randrange(len(good))] if number % 3 == 0 else good)
        for _ in range(chosen.randrange(1, 6) if data else 0):
            data[chosen.randrange(len(data))] = chosen.choice((0, 1, 0x7F, 0xFF))
        (folder / f"m{number}.ko").write_bytes(data)
    result = lkm_depmod(folder.parents[2], RELEASE)
    assert "Traceback" not in result.stderr
    assert result.returncode in (0, 1)
    if result.returncode == 0:
        lines = (folder / "modules.dep").read_text().splitlines()
        assert len(lines) == len(list(folder.glob("*.ko")))
