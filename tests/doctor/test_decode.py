"""Frames of our own modules turned into source lines: addr2line and pyelftools say the same."""

import shutil
from pathlib import Path

import pytest

from lkm.doctor import decode, disassembly, oops, symbolize
from lkm.doctor.oops import Code
from lkm.errors import KernelError
from lkm.kernel.open import open_kernel
from lkm.module.image import ModuleImage
from lkm.operations import oops as operation
from tests.support.kernels import kernel_files
from tests.support.modules import SOURCES, built


def line_of(source: str, text: str) -> int:
    lines = (SOURCES / source).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def report(place: str, *, caller: str = "do_one_initcall+0x59/0x220") -> oops.Oops:
    (found,) = oops.parse(
        "BUG: kernel NULL pointer dereference, address: 0000000000000000\n"
        "CPU: 0 PID: 1 Comm: insmod Tainted: G           OE      6.1.0-56-amd64 #1\n"
        f"RIP: 0010:{place}\nCall Trace:\n {caller}\n---[ end trace 0 ]---\n"
    )
    return found


def fault_offset(path: Path) -> int:
    """The offset of the store to address 0 in oops.ko's init, from its own disassembly."""
    image = ModuleImage.open(path)
    symbol = symbolize.find_symbol(image.elf, "on_load", 0, 0x1000)
    assert symbol is not None
    section = image.elf.section_at(symbol.section).name
    listing = disassembly.of_function(path, section, symbol.value, symbol.size, 0, around=200)
    return next(step.offset for step in listing if step.text.startswith("movl   $0x1,0x0"))


def test_the_fault_and_its_source_line() -> None:
    path = built("oops")
    offset = fault_offset(path)
    found = decode.decode(report(f"on_load+{offset:#x}/0x1000 [oops]"), lambda *_: path)
    (place,) = found.frames[0].source[-1:]
    assert Path(place.file).name == "oops.c"
    assert place.line == line_of("oops.c", "= 1;")
    assert place.text.strip() == "*(volatile int *)NULL = 1;"
    assert [step.text.split()[0] for step in found.instructions if step.fault] == ["movl"]
    assert found.suspect is not None
    assert found.suspect.module == "oops"


def test_a_caller_is_looked_up_before_its_return_address() -> None:
    path = built("warn")
    image = ModuleImage.open(path)
    symbol = symbolize.find_symbol(image.elf, "on_load", 0, 0x1000)
    assert symbol is not None
    end = f"on_load+{symbol.size:#x}/0x1000 [warn]"
    found = decode.decode(report("vfs_read+0x1/0x2", caller=end), lambda m, _: path if m else None)
    # one past the function's last byte: the byte before is still in it
    assert found.frames[1].source
    assert found.suspect is not None
    assert "called into the kernel" in found.suspect.reason


@pytest.mark.parametrize(
    "name",
    ["oops", *(pytest.param(name, marks=pytest.mark.full) for name in ("warn", "params", "leak"))],
)
def test_both_readers_of_debug_data_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = built(name)
    elf = ModuleImage.open(path).elf
    functions = [s for s in elf.symbols if s.type == 2 and s.size > 4 and s.section < 0xFF00]
    assert functions
    offsets = [(f, o) for f in functions for o in (0, f.size // 2, f.size - 1)]
    theirs = [symbolize.lookup(path, elf, f, o)[0] for f, o in offsets]
    monkeypatch.setattr(shutil, "which", lambda _: None)
    ours = [symbolize.lookup(path, elf, f, o)[0] for f, o in offsets]
    assert [(Path(a.file).name, a.line) for a in theirs] == [
        (Path(b.file).name, b.line) for b in ours
    ]


def test_what_is_missing_is_said() -> None:
    found = decode.decode(report("f+0x1/0x2 [gone]"), lambda *_: None)
    assert found.notes == ("the file of the module gone was not found here",)
    other = decode.decode(report("nowhere+0x1/0x2 [oops]"), lambda m, _: built("oops"))
    assert "has no symbol nowhere" in other.notes[0]


def test_a_file_that_is_no_module_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "oops.ko"
    path.write_bytes(b"\x7fELF" + bytes(100))
    found = decode.decode(report("on_load+0x1/0x2 [oops]"), lambda *_: path)
    assert found.notes


def test_code_bytes_are_disassembled_from_where_the_fault_begins() -> None:
    # the first byte is the end of an instruction that began before
    code = Code(bytes.fromhex("c0 89 c8 0f 0b 8b 05 00 00 00 00"), 3)
    listing = disassembly.of_code(code)
    assert [step.text for step in listing if step.fault] == ["ud2"]
    assert {step.offset for step in listing} >= {0, 2}


def test_without_objdump_the_bytes_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    listing = disassembly.of_code(Code(b"\x90\x0f\x0b", 1))
    assert [(step.offset, step.data, step.fault) for step in listing] == [
        (-1, b"\x90", False),
        (0, b"\x0f\x0b", True),
    ]


@pytest.mark.parametrize("where", ["emulated", "vm"])
@pytest.mark.parametrize(("name", "text"), [("oops", "= 1;"), ("bug", "BUG_ON(")])
def test_a_crash_on_a_real_kernel_is_traced_to_its_line(where: str, name: str, text: str) -> None:
    path = built(name)
    with open_kernel(f"{where}:{kernel_files().release}") as kernel:
        with pytest.raises(KernelError) as caught:
            kernel.load(path)
        (found,) = operation.decode(
            "\n".join(caught.value.log),
            files=[path],
            modules=operation.module_ranges(kernel.read_text("/proc/modules")),
        )
    assert found.suspect is not None
    assert found.suspect.module == name
    assert found.frames[0].source[-1].line == line_of(f"{name}.c", text)
    assert "do_one_initcall" in [frame.location.function for frame in found.frames]
    assert {flag.letter for flag in found.oops.taints} >= {"O", "E"}
