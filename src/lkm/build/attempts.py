"""Trying the ways of building in turn, until one gives modules for the kernel that is meant."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lkm.build import build_commands, compile_causes, compiler_output, dkms_way, ways
from lkm.build.kept_builds import BuildFolder
from lkm.build.ways import BuildTarget, BuildWay
from lkm.errors import BuildError, FormatError, UsageError
from lkm.module.image import ModuleImage

HEADERS_OF = "source"
"""A link in the folder where a single .c file is built, to where its own headers are."""


def places_of(place: BuildFolder, own: Path, given: Path) -> list[tuple[str, str]]:
    """Pairs of a folder of the copy and what it stands for, the longest first.

    Newer kbuilds call a folder by where it is behind all links.
    """
    pairs = {}
    if given.is_file():
        pairs[os.fspath(place.tree / HEADERS_OF)] = os.fspath(own)
    for link in place.dkms_tree.glob("*/*/build"):
        pairs[os.fspath(link)] = os.fspath(given)
    pairs[os.fspath(place.tree)] = os.fspath(own)
    pairs[os.fspath(place.tree.resolve())] = os.fspath(own)
    return sorted(pairs.items(), key=lambda pair: -len(pair[0]))


@dataclass(frozen=True, slots=True)
class BuildAttempts:
    """What the ways have in common: where they are tried, for what, with which variables."""

    source: Path
    folder: Path
    place: BuildFolder
    places: Sequence[tuple[str, str]]
    target: BuildTarget
    variables: tuple[str, ...]

    @property
    def is_in_place(self) -> bool:
        """Whether the source's own folder is built in."""
        return self.source == self.folder

    def ways(self) -> Iterator[BuildWay]:
        """Yield the ways to build it, the author's own first."""
        if "DKMS=no" not in self.variables:
            way = dkms_way.find(self.folder, self.target, self.place.dkms_tree)
            if way is not None and not (self.is_in_place and _changes_source(way)):
                yield way
        yield from ways.find(self.folder, self.target, "" if self.is_in_place else self.source.name)


def _changes_source(way: BuildWay) -> bool:
    return any(command[0] == "patch" for command in way.commands)


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a way gave: the modules in an order of loading, what was said, the way's name."""

    modules: tuple[Path, ...]
    output: str
    way: str


def build_by_ways(attempts: BuildAttempts) -> BuildResult:
    """Try the ways in turn until one gives modules for the kernel that is meant."""
    failures: list[tuple[BuildWay, build_commands.CommandResult, str]] = []
    for way in attempts.ways():
        _remove_products(attempts)
        target, place = attempts.target, attempts.place
        result = build_commands.run(way, target, attempts.variables, place.programs)
        places = [*attempts.places, *places_of(place, attempts.source, attempts.source)]
        said = compiler_output.as_of_source(
            result.output, attempts.places if attempts.is_in_place else places, way.folder
        )
        modules, others = _modules(attempts.folder, way, target.release)
        if modules:
            note = f"{target.tools.note}\n" if target.tools.note else ""
            return BuildResult(modules, note + said, way.name)
        if others:
            said += f"{way.name} built for kernel {others} rather than {target.release}\n"
        failures.append((way, result, said))
        if result.status and way.is_last_word and compiler_output.has_errors(said):
            break
    raise _failure(attempts, failures)


def _failure(
    attempts: BuildAttempts, failures: Sequence[tuple[BuildWay, build_commands.CommandResult, str]]
) -> BuildError | UsageError:
    """Return the error for ways none of which gave a module: of the one that came furthest."""
    source, target = attempts.source, attempts.target
    failed = [failure for failure in failures if failure[1].status]
    compiled = [failure for failure in failed if compiler_output.has_errors(failure[2])]
    if not failed:
        return UsageError(
            f"{source} builds no module",
            hint="its Kbuild or Makefile needs a line obj-m := NAME.o, or variables: --make VAR=m",
        )
    by_author = [failure for failure in failures if failure[0].name == dkms_way.NAME]
    way, result, said = (by_author or compiled or failed)[0]
    compiled = [failure for failure in compiled if failure[0] is way]
    causes = compile_causes.causes(said, target.headers, target.source, target.release)
    what = "does not compile" if compiled else f"cannot be built by {way.name}"
    decisive = compiler_output.decisive_line(said)
    if not result.status:
        decisive = f"it built none of the modules it names: {', '.join(way.modules)}"
    why = causes[0].sentence if causes else decisive
    return BuildError(
        f"{source} {what} for kernel {target.release}"
        + (f": {why}" if causes or not compiled else ""),
        command=result.command,
        returncode=result.status,
        output=said,
        causes=tuple(cause.sentence for cause in causes),
        decisive=decisive,
        hint=causes[0].advice if causes else "",
    )


def _remove_products(attempts: BuildAttempts) -> None:
    """Remove the modules of a build before, lest they be taken for what this one makes."""
    if attempts.is_in_place:
        return
    for path in attempts.folder.rglob("*"):
        if path.suffix == ".ko" or path.name == "modules.order":
            path.unlink(missing_ok=True)


def _modules(folder: Path, way: BuildWay, release: str) -> tuple[tuple[Path, ...], str]:
    """Return what was built for ``release``, each name once, in an order of loading; and, where
    nothing was, the release of what was built for another."""
    found: dict[str, Path] = {}
    other = ""
    for path in [*_ordered(folder), *sorted(folder.rglob("*.ko"))]:
        if path.stem in found or path.is_symlink():
            continue
        try:
            vermagic = ModuleImage.open(path).vermagic
        except FormatError:
            continue
        if vermagic is None or vermagic.release == release:
            found[path.stem] = path
        else:
            other = vermagic.release
    named = {Path(name).name for name in way.modules}
    chosen = [path for name, path in found.items() if name in named] or list(found.values())
    return tuple(in_load_order(chosen)), other if not chosen else ""


def _ordered(folder: Path) -> Iterator[Path]:
    """Yield what kbuild lists, in its order (``modules.order``)."""
    for order in sorted(folder.rglob("modules.order"), key=lambda path: len(path.parts)):
        for name in order.read_text().split():
            path = Path(name).with_suffix(".ko")
            path = path if path.is_absolute() else order.parent / path
            if path.is_file():
                yield path


def in_load_order(modules: Sequence[Path]) -> list[Path]:
    """Return modules with those that others of them depend on first; else in the order given."""
    by_name = {path.stem.replace("-", "_"): path for path in modules}
    ordered: dict[Path, None] = {}
    waiting: set[str] = set()

    def put(name: str) -> None:
        path = by_name.get(name)
        if path is None or path in ordered or name in waiting:
            return
        waiting.add(name)
        for needed in ModuleImage.open(path).depends:
            put(needed.replace("-", "_"))
        ordered[path] = None

    for name in by_name:
        put(name)
    return list(ordered)
