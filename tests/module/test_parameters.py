"""Parameters: what params.c declares, and what modinfo tells of the distribution's."""

import random
from pathlib import Path

from lkm.module.image import ModuleImage
from lkm.module.parameters import Parameter
from tests.support import modules
from tests.support.kernels import KernelFiles
from tests.support.tools import kmod

NUMBERS = [  # in the order of params.c
    ("a_byte", "byte", 0o644, "1"),
    ("a_short", "short", 0o644, "-2"),
    ("a_ushort", "ushort", 0o644, "3"),
    ("an_int", "int", 0o644, "-4"),
    ("a_uint", "uint", 0o600, "5"),
    ("a_long", "long", 0o444, "-6"),
    ("a_ulong", "ulong", 0o444, "7"),
    ("a_ullong", "ullong", 0o444, "8"),
    ("a_hexint", "hexint", 0o444, "0x000009"),
]


def params() -> dict[str, Parameter]:
    return {p.name: p for p in ModuleImage.open(modules.built("params")).parameters}


def test_numbers() -> None:
    found = params()
    ours = [
        (p.name, p.type, p.permission, p.default)
        for p in found.values()
        if p.name in {number[0] for number in NUMBERS}
    ]
    assert ours == NUMBERS
    assert all(found[name].operations == f"param_ops_{kind}" for name, kind, _, _ in NUMBERS)
    assert found["an_int"].description == "A number"
    assert found["an_int"].writable
    assert not found["a_long"].writable


def test_text_and_truth_values() -> None:
    found = params()
    assert (found["a_charp"].type, found["a_charp"].default) == ("charp", "text")
    assert found["a_string"] == Parameter(
        "a_string", "string", "Text of at most 15 bytes", 0o644, "param_ops_string", 16, "sixteen"
    )
    assert (found["a_bool"].default, found["an_invbool"].default) == ("N", "Y")
    assert found["a_bool"].description == "A truth value: with a colon"


def test_arrays() -> None:
    found = params()
    assert found["an_array"].is_array
    assert (found["an_array"].type, found["an_array"].limit) == ("array of int", 4)
    assert (found["bools"].limit, found["bools"].permission) == (3, 0)


def test_other_names_and_own_operations() -> None:
    found = params()
    assert (found["outside"].default, "inside" in found) == ("10", False)
    assert (found["even"].type, found["even"].operations) == (None, "even_ops")


def test_names_and_texts_are_modinfos(kernel: KernelFiles) -> None:
    paths = sorted(kernel.modules.rglob("*.ko"))
    checked = 0
    for path in random.Random(4).sample(paths, 60):
        expected = kmod("modinfo", "-0p", path)[1].decode().split("\0")[:-1]
        ours = ModuleImage.open(path).parameters
        assert [line(p) for p in ours if p.type or p.description] == expected
        # Every parameter a user is told of has an entry in __param, and so a permission.
        assert all(p.permission is not None for p in ours)
        checked += len(ours)
    assert checked > 50


def line(parameter: Parameter) -> str:
    if parameter.description is None:
        return f"{parameter.name}: ({parameter.type})"
    kind = f" ({parameter.type})" if parameter.type else ""
    return f"{parameter.name}:{parameter.description}{kind}"


def test_a_file_without_the_table_still_has_parameters(tmp_path: Path) -> None:
    data = modules.built("params").read_bytes().replace(b".rela__param\0", b".rela__xaram\0")
    found = {p.name: p for p in ModuleImage.from_bytes(data).parameters}
    assert found["an_int"] == Parameter("an_int", "int", "A number")
    assert found["an_int"].writable is None
