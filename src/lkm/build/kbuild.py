"""Build modules out of tree, with a kernel's own kbuild, without writing beside their source.

Source: ``Documentation/kbuild/modules.rst``. The source and what surrounds it are copied into a
folder of lkm's cache and built there as their author builds them; what did not change since is
not built again.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lkm.build import (
    attempts,
    compile_commands,
    kept_builds,
    makefile,
    source_tree,
    toolchain,
)
from lkm.build.kept_builds import BuildFolder
from lkm.build.source_tree import SourceTree
from lkm.build.ways import BuildTarget
from lkm.errors import NotFoundError, ToolError, UnsupportedError, UsageError

# make's spelling of a path: none of these survives its word splitting and expansion.
_UNSAFE = re.compile(r"[\s:#$%'\"\\;]")
_VARIABLE = re.compile(r"\A[A-Za-z_][\w-]*=.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build: variables for make (``NAME=VALUE``), and whether in the source's own folder."""

    variables: tuple[str, ...] = ()
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class Build:
    """The result of a build: the modules, the compiler's output (warnings), the time it took.

    ``modules`` are in the order in which they can be loaded. ``seconds`` is 0 when nothing had
    changed since a build before and none was needed. ``way`` says by what it was built (kbuild,
    its Makefile, its dkms.conf); ``compile_commands`` is the file that editors read.
    """

    modules: tuple[Path, ...]
    output: str
    seconds: float
    way: str
    compile_commands: Path | None = None


def has_makefile(folder: str | os.PathLike[str]) -> bool:
    """Return whether a folder has what kbuild or make reads."""
    return makefile.find(Path(folder)) is not None


def is_source(folder: str | os.PathLike[str]) -> bool:
    """Return whether there is something in a folder, or below it, that modules are built of."""
    place = Path(folder)
    named = ("dkms.conf", "configure", "configure.ac", "autogen.sh")
    return (
        has_makefile(place)
        or any((place / name).is_file() for name in named)
        or any(place.glob("*.c"))
        or next(makefile.below(place), None) is not None
    )


def build(
    source: str | os.PathLike[str],
    headers: str | os.PathLike[str],
    options: BuildOptions = BuildOptions(),
) -> Build:
    """Build the modules of a .c file, or of a folder.

    ``headers`` is the kernel's build directory (``lib/modules/RELEASE/build``). Raises BuildError
    with the compiler's own words in ``output``, its paths being those of ``source``; ToolError
    when a program is missing; UnsupportedError when the source says that it is not for the kernel.
    """
    given = Path(source).absolute()
    _check(given, options)
    target = _target(Path(headers))
    if options.in_place:
        return _build_in_place(given, target, options)
    tree = SourceTree(given, given.parent, (given,)) if given.is_file() else _tree(given)
    place = _place(tree, target, options)
    with kept_builds.locked(place):
        found = _inputs(tree, place)
        known = kept_builds.kept(place, _key(place, tree, found, target))
        if known is not None:
            return Build(
                known.modules, known.output, 0.0, known.way, known.folder / "compile_commands.json"
            )
        started = time.monotonic()
        _copy(tree, place, target)
        return _build_copy(tree, place, target, options, started)


def _check(source: Path, options: BuildOptions) -> None:
    for variable in options.variables:
        if not _VARIABLE.fullmatch(variable):
            raise UsageError(f"{variable!r} is no variable for make", hint="such as CONFIG_FOO=m")
    if not source.exists():
        raise NotFoundError(f"{source}: no such file or folder")
    if source.is_dir():
        if not is_source(source):
            raise NotFoundError(
                f"{source} has neither a Kbuild nor a Makefile, nor a .c file",
                hint=f"echo 'obj-m := NAME.o' > {source}/Kbuild",
            )
        return
    if options.in_place:
        raise UsageError(
            f"{source} is one file, which is built without writing beside it",
            hint=f"to build where the source is, give its folder: {source.parent}",
        )
    if source.suffix != ".c" or not re.fullmatch(r"[A-Za-z0-9_-]+", source.stem):
        raise UsageError(f"{source.name} is no C file whose name a module can have")


def _target(headers: Path) -> BuildTarget:
    tools = toolchain.choose(headers)
    if tools.missing:
        raise ToolError(
            f"{tools.missing}, which this kernel was built with, is not installed",
            hint="apt install clang lld llvm",
        )
    beside = headers.parent / "source"
    return BuildTarget(headers, beside if beside.is_dir() else headers, release_of(headers), tools)


def release_of(headers: Path) -> str:
    """Return the release that modules built with these headers are for.

    Source: ``include/generated/utsrelease.h``, which ``include/linux/vermagic.h`` takes it from
    (a distribution's kernel.release may differ). Raises NotFoundError where there is none.
    """
    try:
        text = (headers / "include/generated/utsrelease.h").read_text()
        return str(re.findall(r'#define\s+UTS_RELEASE\s+"([^"\n]+)"', text)[0])
    except (OSError, IndexError) as error:
        raise NotFoundError(
            f"{headers} is no folder that modules can be built with: it has no "
            "include/generated/utsrelease.h",
            hint="in a kernel's own source: make modules_prepare",
        ) from error


def _tree(given: Path) -> SourceTree:
    tree = source_tree.enclosing(given)
    if _UNSAFE.search(tree.place):
        return SourceTree(given, given, (given,))
    return tree


def _place(tree: SourceTree, target: BuildTarget, options: BuildOptions) -> BuildFolder:
    facts = (tree.given.resolve(), tree.root.resolve(), target.headers.resolve())
    place = kept_builds.build_folder("\0".join([*map(os.fspath, facts), *options.variables]))
    if _UNSAFE.search(os.fspath(place.folder)):
        raise UnsupportedError(
            f"kbuild cannot work in {place.folder.parent}, for the characters in its name",
            hint="set XDG_CACHE_HOME to a plainer path",
        )
    return place


def _inputs(tree: SourceTree, place: BuildFolder) -> dict[str, os.stat_result]:
    if tree.given.is_dir():
        inputs = source_tree.files(tree)
        links = [place.tree / os.path.relpath(path, tree.root) for path in tree.links]
    else:
        inputs = {tree.given.name: tree.given.stat()}
        links = [place.tree / attempts.HEADERS_OF]
    for path in _included(place.tree, links):
        with contextlib.suppress(FileNotFoundError):
            inputs[os.path.relpath(path, tree.root)] = path.stat()
    return inputs


def _included(folder: Path, links: Sequence[Path]) -> list[Path]:
    """Return the files behind links that the last build read."""
    if not links:
        return []
    read: set[Path] = set()
    for command in folder.rglob(".*.o.cmd"):
        for word in re.findall(r"/[^\s\\)]+", command.read_text(errors="replace")):
            path = Path(os.path.normpath(word))
            for link in links:
                if path == link or link in path.parents:
                    target = Path(os.readlink(link))
                    read.add(target if path == link else target / path.relative_to(link))
    return sorted(path for path in read if path.is_file())


def _key(
    place: BuildFolder, tree: SourceTree, found: Mapping[str, os.stat_result], target: BuildTarget
) -> str:
    inputs = kept_builds.contents(place, tree.root, found)
    for name in ("include/generated/autoconf.h", "Module.symvers"):
        with contextlib.suppress(OSError):
            status = (target.headers / name).stat()
            inputs[f"{target.headers}/{name}"] = f"{status.st_mtime_ns} {status.st_size}"
    inputs["tools"] = " ".join((*target.tools.variables, os.environ.get("KCFLAGS", "")))
    return kept_builds.result_key(inputs)


def _copy(tree: SourceTree, place: BuildFolder, target: BuildTarget) -> None:
    copied = place.tree
    if tree.given.is_file():
        copied.mkdir(exist_ok=True)
        shutil.copy2(tree.given, copied / tree.given.name)
        link = copied / attempts.HEADERS_OF
        if not link.is_symlink():
            link.symlink_to(tree.given.parent)
        (copied / "Kbuild").write_text(
            f"obj-m := {tree.given.stem}.o\nccflags-y += -I$(src)/{attempts.HEADERS_OF}\n"
        )
        return
    # Begin anew when a file is gone, lest kbuild still find its copy or its object; and where
    # more than kbuild works on the copy, whose doings nobody can take back.
    found = source_tree.files(tree)
    inside = copied / tree.place
    whole = any((inside / name).exists() for name in ("dkms.conf", "configure", "autogen.sh"))
    before = set(_copied_before(place))
    if whole or not before <= found.keys():
        shutil.rmtree(copied, ignore_errors=True)
        before = set()
    changed = [
        name for name, status in found.items()
        if name not in before or _differs(status, copied / name)
    ]  # fmt: skip
    build, source = os.fspath(target.headers), os.fspath(target.source)
    source_tree.copy(tree, changed, copied, build, source)
    made = copied / tree.place / "Kbuild"
    if made.exists() and os.path.relpath(made, copied) not in found:
        made.unlink()  # of a folder that had nothing of its kind: made anew
    (place.folder / "copied").write_text("\0".join(found), errors="surrogateescape")


def _copied_before(place: BuildFolder) -> list[str]:
    try:
        text = (place.folder / "copied").read_text(errors="surrogateescape")
    except OSError:
        return []
    return text.split("\0") if text else []


def _differs(status: os.stat_result, copied: Path) -> bool:
    try:
        return copied.lstat().st_mtime_ns != status.st_mtime_ns
    except FileNotFoundError:
        return True


def _build_copy(
    tree: SourceTree,
    place: BuildFolder,
    target: BuildTarget,
    options: BuildOptions,
    started: float,
) -> Build:
    own = tree.root if tree.given.is_dir() else tree.given.parent
    folder = place.tree / tree.place if tree.given.is_dir() else place.tree
    places = attempts.places_of(place, own, tree.given)
    variables = options.variables
    if not _UNSAFE.search(os.fspath(own)):
        # Debug data, and __FILE__ in warnings, name the user's files.
        flags = [os.environ.get("KCFLAGS", "")]
        flags += [f"-ffile-prefix-map={copied}={original}" for copied, original in places]
        variables = (f"KCFLAGS={' '.join(flags).strip()}", *variables)
    done = attempts.build_by_ways(
        attempts.BuildAttempts(tree.given, folder, place, places, target, variables)
    )
    names = {os.path.relpath(path.resolve(), place.tree.resolve()): path for path in done.modules}
    commands = compile_commands.of_build(place.tree, places, target.headers)
    key = _key(place, tree, _inputs(tree, place), target)
    known = kept_builds.keep(place, key, names, (done.output, done.way), commands)
    seconds = time.monotonic() - started
    return Build(
        known.modules, known.output, seconds, known.way, known.folder / "compile_commands.json"
    )


def _build_in_place(given: Path, target: BuildTarget, options: BuildOptions) -> Build:
    if _UNSAFE.search(os.fspath(given)):
        raise UnsupportedError(
            f"kbuild cannot work in {given}, for the characters in its name",
            hint="leave out --in-place: it is built in a copy",
        )
    started = time.monotonic()
    place = kept_builds.build_folder(f"{given.resolve()}\0{target.headers.resolve()}\0in place")
    own = os.fspath(given)
    with kept_builds.locked(place):
        ways = attempts.BuildAttempts(given, given, place, [(own, own)], target, options.variables)
        done = attempts.build_by_ways(ways)
        commands = place.folder / "compile_commands.json"
        commands.write_bytes(compile_commands.of_build(given, [], target.headers))
    return Build(done.modules, done.output, time.monotonic() - started, done.way, commands)
