from pathlib import Path

import pytest

from lkm.errors import NotFoundError
from lkm.operations.diff import Change, Side, compare, diff, read_side
from lkm.operations.module_facts import ModuleFacts, parameter_types
from lkm.tree.root import Root
from tests.support.kernels import KernelFiles, kernel_files


def _side(modules: list[ModuleFacts], builtin: list[ModuleFacts] | None = None) -> Side:
    return Side(
        Root("/", "x"),
        {fact.name: fact for fact in modules},
        {fact.name: fact for fact in builtin or []},
        None,
        (),
    )


def test_what_is_gained_lost_and_changed() -> None:
    old = _side(
        [
            ModuleFacts("gone", {}),
            ModuleFacts("a", {"p": "int", "q": "bool"}, ("x:1",), {"f": 1, "g": 2}),
        ],
        [ModuleFacts("was_inside", {})],
    )
    new = _side(
        [
            ModuleFacts("was_inside", {}),
            ModuleFacts("a", {"p": "uint", "r": ""}, ("x:2",), {"f": 3}),
            ModuleFacts("b", {"only": "int"}, ("y",), {"g": 2}),
        ]
    )
    found = compare(old, new)
    assert found.modules == (
        Change("b", "b", None, "module"),
        Change("gone", "gone", "module", None),
        Change("was_inside", "was_inside", "built in", "module"),
    )
    assert found.parameters == (
        Change("p", "a", "int", "uint"),
        Change("q", "a", "bool", None),
        Change("r", "a", None, ""),
    )
    assert found.aliases == (Change("x:1", "a", "", None), Change("x:2", "a", None, ""))
    assert found.exports == (Change("f", "a", "0x00000001", "0x00000003"),)


def test_parameter_types_come_from_both_fields() -> None:
    assert parameter_types(["a:int", "b:bool"], ["a:how many", "c:odd"]) == {
        "a": "int",
        "b": "bool",
        "c": "",
    }


def test_a_kernel_does_not_differ_from_itself(kernel: KernelFiles) -> None:
    side = read_side(kernel.release)
    assert len(side.modules) > 4000
    assert side.kernel
    assert side.kernel["_printk"] is not None
    found = compare(side, side)
    assert (found.modules, found.parameters) == ((), ())
    assert (found.aliases, found.exports) == ((), ())


def test_a_missing_kernel_says_how_to_fetch_it() -> None:
    with pytest.raises(NotFoundError):
        diff("4.99", "5.99")


def test_a_damaged_module_is_named_and_the_rest_compared(
    kernel: KernelFiles, tmp_path: Path
) -> None:
    folder = tmp_path / "lib/modules/1/kernel"
    folder.mkdir(parents=True)
    good = (kernel.modules / "kernel/lib/crc16.ko").read_bytes()
    (folder / "crc16.ko").write_bytes(good)
    (folder / "broken.ko").write_bytes(good[:1000])
    side = read_side(str(tmp_path))
    assert set(side.modules) == {"crc16", "broken"}
    assert len(side.problems) == 1
    assert side.modules["crc16"].exports


@pytest.mark.full
def test_two_kernels_differ_where_their_modules_do(kernel: KernelFiles) -> None:
    cloud = kernel_files(flavour="cloud-amd64")
    found = diff(kernel.release, cloud.release)
    names = {path.name.partition(".")[0].replace("-", "_") for path in cloud.modules.rglob("*.ko")}
    lost = {change.name for change in found.modules if change.after is None}
    assert not lost & names
    assert "snd" in lost
