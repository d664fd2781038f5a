"""The ways in which a source tree can be built: kbuild alone, its own Makefile, its dkms.conf.

Each is a row of commands and the folder they are run in. Which is tried first follows from what
the author wrote; a way that gives no module for the kernel that is meant is followed by the next.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lkm.build import makefile
from lkm.build.toolchain import Toolchain

_IS_MODULE = re.compile(rb"^[ \t]*(?:MODULE_LICENSE|module_init)\b", re.M)


@dataclass(frozen=True, slots=True)
class BuildTarget:
    """The kernel that is built for: its build folder, its source folder, release and tools."""

    headers: Path
    source: Path
    release: str
    tools: Toolchain


@dataclass(frozen=True, slots=True)
class BuildWay:
    """One way to build: in ``folder``, by ``commands``, each a list of words for the shell or not.

    ``variables`` are given to every make; ``modules`` are the only ones that count, all if empty.
    ``is_last_word``: when its compiler reports an error, no other way would do better.
    """

    name: str
    folder: Path
    commands: tuple[tuple[str, ...], ...]
    variables: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    is_last_word: bool = False


def find(folder: Path, target: BuildTarget, name: str = "") -> Iterator[BuildWay]:
    """Yield the ways to build what is in ``folder``, the author's own first.

    What comes later is looked for only when it is asked for: files that the ways before it made
    (a Makefile from ``configure``) count. ``name`` is what a module is
    called whose parts are all of a folder's .c files; where it is empty no Kbuild is written.
    """
    configures = (folder / "configure").is_file() or _autotools(folder)
    if configures and not makefile.lists_objects(folder):
        yield _configured(folder, target)
    read = makefile.of_folder(folder)
    objects = makefile.lists_objects(folder)
    has_make = any((folder / name).is_file() for name in makefile.NAMES if name != "Kbuild")
    wrapped = read is not None and has_make and (read.hands_over or not objects)
    author_first = objects and wrapped and read is not None and read.adds_variables
    if objects and not author_first:
        yield kbuild(folder, target, is_last_word=read is None or not read.adds_variables)
    if read is not None and not objects and not has_make:
        yield kbuild(folder, target)  # an includer of other files, perhaps
    if wrapped and read is not None:
        yield _make(folder, target)
    if author_first:
        yield kbuild(folder, target)
    if not objects:
        yield from _subfolders(folder, target)
    if read is None and name:
        yield from _bare(folder, target, name)


def kbuild(folder: Path, target: BuildTarget, *, is_last_word: bool = False) -> BuildWay:
    """Return the way of ``Documentation/kbuild/modules.rst``: ``make -C KERNEL M=FOLDER``."""
    command = ("make", "-C", os.fspath(target.headers), f"M={folder}", "modules")
    return BuildWay("kbuild", folder, (command,), is_last_word=is_last_word)


def _make(folder: Path, target: BuildTarget) -> BuildWay:
    """Return the way by the folder's own Makefile, told where the kernel is."""
    return BuildWay("its Makefile", folder, (("make",),), kernel_variables(folder, target))


def kernel_variables(folder: Path, target: BuildTarget) -> tuple[str, ...]:
    """Return the variables by which a folder's Makefiles are told where the kernel is."""
    below = [path for name in makefile.NAMES for path in sorted(folder.glob(f"*/{name}"))[:50]]
    read = makefile.of_folder(folder)
    names = {*(read.kernel_variables() if read else ()), *makefile.read(below).kernel_variables()}
    return tuple(f"{name}={target.headers}" for name in sorted(names))


def _subfolders(folder: Path, target: BuildTarget) -> Iterator[BuildWay]:
    """Yield one way that builds all folders below in which kbuild finds something.

    They are built one after the other, each told what those before it export.
    """
    found = list(makefile.below(folder))
    symbols: list[str] = []
    commands = []
    for path in found:
        command = ["make", "-C", os.fspath(target.headers), f"M={path}"]
        if symbols:
            command.append(f"KBUILD_EXTRA_SYMBOLS={' '.join(symbols)}")
        commands.append((*command, "modules"))
        symbols.append(f"{path}/Module.symvers")
    if commands:
        yield BuildWay("kbuild in its subfolders", folder, tuple(commands))


def _bare(folder: Path, target: BuildTarget, whole: str) -> Iterator[BuildWay]:
    """Yield the way for a folder of .c files that nothing says how to build.

    Each that declares a module is one; the others are parts of it, when there is only one.
    """
    sources = {path.stem: path.read_bytes() for path in sorted(folder.glob("*.c"))}
    sources = {name: text for name, text in sources.items() if not name.endswith(".mod")}
    modules = [name for name, text in sources.items() if _IS_MODULE.search(text)]
    if not sources:
        return
    if len(modules) == 1 and len(sources) > 1:
        name = re.sub(r"\W", "_", whole)
        name = f"{name}_module" if name in sources else name
        parts = " ".join(f"{part}.o" for part in sources)
        text = f"obj-m := {name}.o\n{name}-y := {parts}\n"
    else:
        text = f"obj-m := {' '.join(f'{name}.o' for name in modules or sources)}\n"
    (folder / "Kbuild").write_text(f"{text}ccflags-y += -I$(src) -I$(src)/include\n")
    yield kbuild(folder, target, is_last_word=True)


def _autotools(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("configure.ac", "configure.in", "autogen.sh"))


def _configured(folder: Path, target: BuildTarget) -> BuildWay:
    """Return the way by ``configure``, told where the kernel is by the options that it has."""
    commands: list[tuple[str, ...]] = []
    script = folder / "configure"
    if not script.is_file():
        own = next((n for n in ("autogen.sh", "bootstrap") if (folder / n).is_file()), "")
        commands.append(("sh", own) if own else ("autoreconf", "-fi"))
    options = _options(script, target) if script.is_file() else []
    commands += [("sh", "./configure", *options), ("make",)]
    return BuildWay("its configure", folder, tuple(commands), kernel_variables(folder, target))


def _options(script: Path, target: BuildTarget) -> list[str]:
    """Return the options of a configure script that say where the kernel is, and its release."""
    with open(script, "rb") as file:
        text = file.read(4 << 20).decode("utf-8", "replace")
    options = []
    for match in re.finditer(r"--((?:with-)?[\w-]*(?:linux|kernel|kdir|ksrc)[\w-]*)(?==)", text):
        name = match[1].strip("-")
        if re.search(r"ver|release|name", name):
            value = target.release
        elif re.search(r"src|source|tree", name):
            value = os.fspath(target.source if "obj" in text else target.headers)
        elif re.search(r"dir|build|obj|header|linux$|kernel$|path", name):
            value = os.fspath(target.headers)
        else:
            continue
        options.append(f"--{name}={value}")
    return list(dict.fromkeys(options))
