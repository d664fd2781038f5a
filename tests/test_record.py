import subprocess
import sys

import pytest

from lkm.record import Record


class Place(Record):
    path: str
    line: int = 1


def test_fields_by_place_and_by_name() -> None:
    assert tuple(Place("a")) == ("a", 1)
    assert tuple(Place(line=3, path="b")) == ("b", 3)
    assert Place("a", 2).replaced(path="c") == Place("c", 2)
    assert repr(Place("a")) == "Place(path='a', line=1)"
    assert len({Place("a"), Place("a", 1), Place("a", 2)}) == 2


def test_values_of_other_classes_differ() -> None:
    class Other(Record):
        path: str
        line: int = 1

    assert Other("a") != Place("a")


@pytest.mark.parametrize("values", [((), {}), (("a", 1, 2), {}), (("a",), {"column": 1})])
def test_wrong_fields(values: tuple[tuple[object, ...], dict[str, object]]) -> None:
    given, named = values
    with pytest.raises((TypeError, AttributeError)):
        Place(*given, **named)  # type: ignore[arg-type]


def test_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="cannot be changed: line"):
        Place("a").line = 2  # type: ignore[misc]


@pytest.mark.parametrize("tool", ["depmod"])
def test_short_commands_do_without_typing(tool: str) -> None:
    code = f"import sys, lkm.cli.commands.kmod_tools.{tool}; sys.exit('typing' in sys.modules)"
    assert not subprocess.run([sys.executable, "-I", "-c", code], check=False).returncode
