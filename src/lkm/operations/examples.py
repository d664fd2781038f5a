"""The modules that come with lkm as source, to try and to start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lkm.errors import NotFoundError

_PLACES = (
    Path(__file__).parent.parent / "examples",  # installed
    Path(__file__).parent.parent.parent.parent / "examples",  # a clone
)


@dataclass(frozen=True, slots=True)
class ExampleModule:
    """A module of ours: its folder's name, the first line of its comment, its C file."""

    name: str
    title: str
    source: Path


def folder() -> Path:
    """Return where the examples are; NotFoundError when they were not installed."""
    for place in _PLACES:
        if place.is_dir():
            return place
    raise NotFoundError("lkm's examples are not here", hint="install lkm anew")


def examples() -> tuple[ExampleModule, ...]:
    """Return all examples, by name."""
    found = []
    for place in sorted(folder().iterdir()):
        source = place / f"{place.name}.c"
        if source.is_file():
            found.append(ExampleModule(place.name, _title(source), source))
    return tuple(found)


def example(name: str) -> ExampleModule:
    """Return one example; NotFoundError when there is none of that name."""
    for each in examples():
        if each.name == name:
            return each
    names = ", ".join(each.name for each in examples())
    raise NotFoundError(f"there is no example {name!r}", hint=f"there are: {names}")


def _title(source: Path) -> str:
    """Return what MODULE_DESCRIPTION says."""
    text = source.read_text(encoding="utf-8")
    _, _, rest = text.partition('MODULE_DESCRIPTION("')
    return rest.partition('"')[0]
