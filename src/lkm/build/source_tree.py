"""The source that is given, and how much of what surrounds it takes part in its build.

An author's ``-I$(src)/../include``, ``#include "../common.h"`` or ``$(MAKE) -C ../library`` must
find what it names, so the whole project is copied: from its topmost folder down, and of folders
further up what is referred to.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lkm.build import makefile
from lkm.errors import UnsupportedError

_MARKS = (*makefile.NAMES, "dkms.conf", "configure", "configure.ac", "autogen.sh", ".git")
# Those of a kernel's own source: one of its folders is built without all of it.
_KERNEL = ("Kconfig", "MAINTAINERS", "scripts")
_PRODUCTS = ("*.o", "*.ko", "*.ko.*", "*.mod", "*.mod.c", ".*.cmd", "*.o.d", "modules.order",
             "Module.symvers", "Module.markers", "*.ur-safe")  # fmt: skip
_LEFT_OUT = frozenset((".git", ".hg", ".svn", ".tmp_versions", "__pycache__", ".venv"))
_MOST_FILES = 50_000
_MOST_BYTES = 2 << 30
_UP = re.compile(r"(?:\.\./)+[\w.+-]*|(?<![\w.])\.\.(?![\w./])")
_REFERS = ("*.c", "*.h", "*.S", "*.mk", *makefile.NAMES, "dkms.conf", "*.sh")
_MOST_UP = 4
_MOST_LINKS = 2000
# Files in which an author writes where a running kernel's build folder is.
_NAMING_KERNELS = ("[Mm]akefile*", "GNUmakefile", "Kbuild*", "*.mk", "*.mak", "*.sh", "configure*",
                   "dkms.conf", "*.in", "*.m4", "CMakeLists.txt", "Rules*")  # fmt: skip


@dataclass(frozen=True, slots=True)
class SourceTree:
    """What is copied for a build.

    ``given`` is what was asked to be built, ``root`` the folder that the copy begins with;
    ``parts`` are the files and folders below ``root`` that are copied (``root`` itself: all of it),
    ``links`` those that the copy only has links to: the neighbours in a folder named as a whole.
    """

    given: Path
    root: Path
    parts: tuple[Path, ...]
    links: tuple[Path, ...] = ()

    @property
    def place(self) -> str:
        """Where ``given`` is below ``root``."""
        return os.path.relpath(self.given, self.root)


def enclosing(given: Path) -> SourceTree:
    """Return the tree that the source folder ``given`` is built in."""
    top = _project(given)
    referred = set(_referred(top))
    above = {path for path in referred if path in top.parents}
    parts = {top, *(referred - above)}
    root = Path(os.path.commonpath([os.fspath(part) for part in parts | above]))
    outermost = sorted(part for part in parts if not any(p in part.parents for p in parts))
    links = [
        path
        for folder in sorted(above)
        for path in sorted(folder.iterdir())[:_MOST_LINKS]
        if not any(path == part or path in part.parents for part in outermost)
    ]
    return SourceTree(given, root, tuple(outermost), tuple(links))


def _project(given: Path) -> Path:
    """Return the topmost folder of an unbroken row of folders that look like one project."""
    top = given
    if any(_is_kernel(parent) for parent in given.parents):
        return given
    for parent in given.parents:
        if parent in (Path("/"), Path.home(), Path("/usr/src"), Path("/tmp")):
            break
        if not any((parent / mark).exists() for mark in _MARKS):
            break
        top = parent
        if (parent / ".git").exists():
            break
    return top


def _is_kernel(folder: Path) -> bool:
    return all((folder / name).exists() for name in _KERNEL)


def _referred(top: Path) -> Iterator[Path]:
    """Yield what the files of a project name outside of it, by ``..``."""
    seen: set[Path] = set()
    waiting = [top]
    while waiting and len(seen) < 50:
        folder = waiting.pop()
        for path in _files_up(folder, top):
            if path not in seen:
                seen.add(path)
                yield path
                if path.is_dir() and path not in top.parents:
                    waiting.append(path)


def _files_up(folder: Path, top: Path) -> Iterator[Path]:
    for path, _ in _walk(folder):
        if not any(fnmatch.fnmatchcase(path.name, pattern) for pattern in _REFERS):
            continue
        with open(path, "rb") as file:
            text = file.read(1 << 18).decode("utf-8", "replace")
        if ".." not in text:
            continue
        for reference in set(_UP.findall(text)):
            found = Path(os.path.normpath(path.parent / reference))
            outside = top not in found.parents and found != top
            near = len(found.parts) > max(2, len(top.parts) - _MOST_UP)
            if outside and near and found.exists() and not _is_kernel(found):
                yield found


def _walk(part: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files of a part that are not products of a build, with what ``lstat`` says."""
    if not part.is_dir():
        yield part, part.lstat()
        return
    for top, folders, names in os.walk(part):
        folders[:] = sorted(
            name for name in folders
            if name not in _LEFT_OUT and not os.path.islink(os.path.join(top, name))
        )  # fmt: skip
        links = [name for name in os.listdir(top) if os.path.islink(os.path.join(top, name))]
        for name in sorted({*names, *links}):
            path = Path(top, name)
            with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                found = path.lstat()
                if not _is_product(path, found):
                    yield path, found


def _is_product(path: Path, found: os.stat_result) -> bool:
    """Whether a build made it; an object that nothing here makes is shipped with the source."""
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        return True  # a socket, a device: no source
    name = path.name
    if not any(fnmatch.fnmatchcase(name, pattern) for pattern in _PRODUCTS):
        return False
    if name.endswith(".o"):
        return any(path.with_suffix(s).exists() for s in (".c", ".S", ".ko", ".mod", ".mod.c"))
    return True


def files(tree: SourceTree) -> dict[str, os.stat_result]:
    """Return the files that are copied, by their path below ``root``.

    Raises UnsupportedError for a tree of more than 50,000 files or 2 GiB.
    """
    found: dict[str, os.stat_result] = {}
    size = 0
    for part in tree.parts:
        for path, status in _walk(part):
            found[os.path.relpath(path, tree.root)] = status
            size += status.st_size
            if len(found) > _MOST_FILES or size > _MOST_BYTES:
                raise UnsupportedError(
                    f"{part} is too large to be copied for a build",
                    hint="build it where it is: --in-place",
                )
    return found


def copy(
    tree: SourceTree, names: Iterable[str], destination: Path, build: str, source: str
) -> None:
    """Copy files of a tree, their times kept, so that kbuild compiles only what changed.

    ``build`` and ``source`` take the place of ``/lib/modules/…/build`` and ``…/source`` in the
    files that authors write these into.
    """
    for folder in tree.parts:
        if folder.is_dir():
            (destination / os.path.relpath(folder, tree.root)).mkdir(parents=True, exist_ok=True)
    for path in tree.links:
        copied = destination / os.path.relpath(path, tree.root)
        if not os.path.lexists(copied):
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.symlink_to(path)
    for name in names:
        original, copied = tree.root / name, destination / name
        copied.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(copied):
            copied.unlink()
        if original.is_symlink():
            _link(tree, original, copied)
            continue
        shutil.copy2(original, copied)
        if any(fnmatch.fnmatchcase(original.name, pattern) for pattern in _NAMING_KERNELS):
            _name_kernel(copied, build, source)


def _link(tree: SourceTree, original: Path, copied: Path) -> None:
    """Make the same link; one that leads out of what is copied leads to where it led."""
    target = os.readlink(original)
    led = Path(os.path.normpath(original.parent / target))
    inside = any(part in (led, *led.parents) for part in tree.parts)
    copied.symlink_to(os.path.relpath(led, original.parent) if inside else led)


def _name_kernel(path: Path, build: str, source: str) -> None:
    data = path.read_bytes()
    if b"/lib/modules/" not in data or len(data) > 4 << 20:
        return
    text = data.decode("utf-8", "surrogateescape")
    named = makefile.with_kernel(text, build, source)
    if named != text:
        status = path.stat()
        path.chmod(status.st_mode | stat.S_IWUSR)
        path.write_bytes(named.encode("utf-8", "surrogateescape"))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
