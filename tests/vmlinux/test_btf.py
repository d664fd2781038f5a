"""BTF: offsets against the compiler's, made sections of both byte orders, hostile ones."""

from __future__ import annotations

import random
import struct
import subprocess
from pathlib import Path

import pytest

from lkm.errors import FormatError, LkmError, NotFoundError
from lkm.vmlinux.btf import Btf, BtfKind
from lkm.vmlinux.image import open_cached
from tests.support.kernels import KernelFiles
from tests.support.vmlinux_writer import BtfWriter

MEMBERS = {
    "struct module": ["state", "list", "name", "mkobj.kobj", "kp", "num_kp", "init", "exit"],
    "struct task_struct": ["pid", "comm", "mm", "stack", "thread.sp"],
    "struct file_operations": ["owner", "read", "write", "unlocked_ioctl"],
    "struct miscdevice": ["minor", "name", "fops", "mode"],
    "struct page": ["flags", "lru", "mapping", "_refcount"],
    "struct sk_buff": ["next", "dev", "cb", "data", "users"],
}


def test_offsets_are_the_compilers(kernel: KernelFiles, tmp_path: Path) -> None:
    """Compile a module of offsetof() and compare what the compiler put into it."""
    lines = [
        f"u64 o{n}_{m} = offsetof({name}, {member});"
        for n, (name, members) in enumerate(MEMBERS.items())
        for m, member in enumerate(members)
    ]
    lines += [f"u64 s{n} = sizeof({name});" for n, name in enumerate(MEMBERS)]
    headers = ["module.h", "sched.h", "fs.h", "miscdevice.h", "mm_types.h", "skbuff.h"]
    includes = "\n".join(f"#include <linux/{header}>" for header in headers)
    source = includes + "\n" + "\n".join(lines) + '\nMODULE_LICENSE("GPL");\n'
    (tmp_path / "offsets.c").write_text(source)
    (tmp_path / "Kbuild").write_text("obj-m := offsets.o\n")
    subprocess.run(
        ["make", "-C", kernel.headers, f"M={tmp_path}", "offsets.o"],
        check=True,
        capture_output=True,
    )
    wanted = _values(tmp_path / "offsets.o")
    btf = open_cached(kernel.vmlinuz).btf
    found = {
        f"o{n}_{m}": btf.offset(name.split()[1], member)
        for n, (name, members) in enumerate(MEMBERS.items())
        for m, member in enumerate(members)
    }
    found |= {f"s{n}": btf.size(name.split()[1]) for n, name in enumerate(MEMBERS)}
    assert found == wanted


def _values(object_file: Path) -> dict[str, int]:
    """Return the initial values of the 64-bit variables in an object file, as nm places them."""
    raw = object_file.with_suffix(".data")
    subprocess.run(
        ["objcopy", "-O", "binary", "-j", ".data", object_file, raw],
        check=True,
        capture_output=True,
    )
    symbols = subprocess.run(["nm", object_file], check=True, capture_output=True, text=True).stdout
    data = raw.read_bytes().ljust(1 << 16, b"\0")
    places = [line.split() for line in symbols.splitlines()]
    return {
        name: struct.unpack_from("<Q", data, int(at, 16))[0] if kind == "D" else 0
        for at, kind, name in places
        if kind in "DB" and name[0] in "os" and name[1:2].isdigit()
    }


def test_real_enum_and_prototypes(kernel: KernelFiles) -> None:
    btf = open_cached(kernel.vmlinuz).btf
    assert btf.enumerators("module_state")["MODULE_STATE_COMING"] == 1
    proto = btf.prototype("misc_register")
    assert (proto.parameters, proto.result) == ((("misc", "struct miscdevice *"),), "int")
    assert btf.prototype("_printk").parameters[-1] == ("", "...")
    assert btf.find("module", BtfKind.STRUCT).kind is BtfKind.STRUCT
    assert btf.has("module", "state")
    assert not btf.has("module", "no_such_member")
    assert not btf.has("no_such_struct")
    with pytest.raises(NotFoundError, match="mkobj has no member 'nothing'"):
        btf.offset("module", "mkobj.nothing.more")


def _example(order: str = "<") -> BtfWriter:
    writer = BtfWriter(order=order)
    integer = writer.integer("int")  # 1
    pointer = writer.add(2, size=integer)  # 2
    inner = writer.composite("", 8, [("a", integer, 0), ("b", integer, 32)])  # 3
    union = writer.composite("", 8, [("", inner, 0), ("both", pointer, 0)], kind=5)  # 4
    alias = writer.add(8, "number_t", integer)  # 5
    writer.composite("outer", 32, [("head", alias, 0), ("", union, 64), ("tail", pointer, 128)])
    writer.composite("bits", 4, [("low", integer, 3 << 24 | 1)], flag=1)
    tail = struct.pack(order + "IiIi", writer.string("UP"), 1, writer.string("DOWN"), -1)
    writer.add(6, "direction", 4, tail, items=2, flag=1)
    return writer


@pytest.mark.parametrize("order", ["<", ">"])
def test_members(order: str) -> None:
    btf = Btf(_example(order).to_bytes())
    outer = btf.members(btf.find("outer").id)
    assert {name: member.offset for name, member in outer.items()} == {
        "head": 0,
        "a": 8,
        "b": 12,
        "both": 8,
        "tail": 16,
    }
    assert btf.size("outer") == 32
    low = btf.member("bits", "low")
    assert (low.bit_offset, low.bit_size) == (1, 3)
    assert btf.enumerators("direction") == {"UP": 1, "DOWN": -1}
    assert btf.spell(outer["tail"].type) == "int *"
    assert Btf.from_bytes(btf.to_bytes()).offset("outer", "b") == 12


def test_types_of_a_module_continue_the_kernels() -> None:
    base = _example()
    kernel = Btf(base.to_bytes())
    split = BtfWriter(first_id=kernel.count, strings_before=kernel._string_end)
    split.composite("mine", 40, [("theirs", kernel.find("outer").id, 64)])
    btf = Btf(split.to_bytes(), base=kernel)
    assert btf.offset("mine", "theirs.b") == 8 + 12
    assert btf.offset("outer", "tail") == 16


def test_aliases_without_end() -> None:
    writer = BtfWriter()
    writer.add(8, "loop", 1)
    writer.composite("nest", 8, [("", 2, 0)])
    btf = Btf(writer.to_bytes())
    with pytest.raises(FormatError, match="aliases"):
        btf.resolve(1)
    with pytest.raises(FormatError, match="nested without end"):
        btf.offset("nest", "x")
    assert btf.spell(1) == "loop"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "24 bytes"),
        (b"\x9f\xeb\x02" + bytes(40), "magic"),
        (struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 1 << 30, 0, 4), "bytes of BTF"),
        (struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 0, 1 << 31, 4), "bytes of BTF"),
    ],
)
def test_header_that_lies(data: bytes, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        Btf(data)


def test_damaged() -> None:
    whole = _example().to_bytes()
    rng = random.Random(3)
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            btf = Btf(bytes(data[: rng.randrange(len(data))] if rng.random() < 0.2 else data))
            for id_ in range(btf.count + 1):
                btf.spell(id_)
                if btf.type(id_).kind in (BtfKind.STRUCT, BtfKind.UNION):
                    btf.members(id_)
            btf.enumerators("direction")
        except LkmError:
            continue


def test_damaged_real_section(kernel: KernelFiles) -> None:
    section = open_cached(kernel.vmlinuz).elf.content(".BTF") or b""
    for cut in (100, 4096, len(section) // 2, len(section) - 1):
        with pytest.raises(FormatError):
            Btf(section[:cut])
