"""What a Makefile says about how modules are built with it, as far as its text tells.

Source: ``Documentation/kbuild/modules.rst`` (``obj-m``, ``M=``) and the wrappers that authors put
around it. Nothing is executed: make itself decides later what holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

NAMES = ("Kbuild", "GNUmakefile", "makefile", "Makefile")
_LONGEST = 1 << 20  # bytes of a Makefile that are looked at
_OBJECTS = re.compile(r"^[ \t]*(?:override[ \t]+)?obj-(?:m|y|\$[({]\w+[)}])[ \t]*[:+?]?=", re.M)
_ASSIGNED = re.compile(
    r"^[ \t]*(?:export[ \t]+|override[ \t]+)*(\w[\w.-]*)[ \t]*(?:::?:?|\?|\+)?=[ \t]*(.*)$", re.M
)
_PLACES = re.compile(r"(?:-C[ \t]*|\bO=|--directory[= \t])[\"']?\$[({](\w+)[)}]")
_FOLDER_GIVEN = re.compile(r"\b(?:M|SUBDIRS)=")
_PASSED = re.compile(r"(?:^|\s)(\w+)=")
_OWN_VARIABLES = frozenset(("M", "SUBDIRS", "O", "V", "W", "C", "ARCH", "CROSS_COMPILE", "PWD"))
_EXPORTED = re.compile(r"^[ \t]*export[ \t]+\w", re.M)
_MODULE_TREE = re.compile(
    r"/lib/modules/(?:\$\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)|\$?\{[^}\n]*\}|`[^`\n]*`|\$?[\w.+-]+)"
    r"/(build|source)(?![\w.+-])"
)
_SOURCES = re.compile(
    r"^/usr/src/(?:linux|kernels)|^/(?:usr/)?lib/modules/\S.*/(?:build|source)/?$"
)
# What authors call the folder of the kernel that is built for, where nothing else tells.
_USUAL_NAMES = """
    KDIR KERNELDIR KERNEL_DIR KERNEL_DIRECTORY KSRC KSRCDIR KERNEL_SRC KERNELSRC KERN_SRC KERN_DIR
    KERNEL_SOURCE KERNEL_SOURCES KERNEL_SOURCE_DIR KERNEL_SRC_DIR KERNEL_PATH KERNELPATH
    KERNEL_TREE KERNEL_BUILD KERNEL_BUILD_DIR KERNEL_HEADERS KHEADERS KBUILD KBUILD_DIR KOBJ
    LINUX_DIR LINUX_SRC LINUXSRC LINUX_HEADERS LINUX_KERNEL LINUXDIR KLIB_BUILD LINUX
"""
_USUAL = frozenset(_USUAL_NAMES.split())


@dataclass(frozen=True, slots=True)
class Makefile:
    """One Makefile, or several read together: the text, and the variables it assigns."""

    text: str
    assigned: Mapping[str, tuple[str, ...]]

    @property
    def lists_objects(self) -> bool:
        """Whether kbuild finds something to build in it (``obj-m``, ``obj-$(CONFIG_X)``)."""
        return bool(_OBJECTS.search(self.text))

    @property
    def hands_over(self) -> bool:
        """Whether a recipe of it starts kbuild itself."""
        return any(True for _ in self._handed())

    @property
    def adds_variables(self) -> bool:
        """Whether kbuild, started by it, is given more than where the source is."""
        if _EXPORTED.search(self.text):
            return True
        passed = (name for line in self._handed() for name in _PASSED.findall(line))
        return any(name not in _OWN_VARIABLES for name in passed)

    def _handed(self) -> Iterator[str]:
        """Yield the lines of recipes that hand a folder over to kbuild."""
        for line in self.text.splitlines():
            if "make" in line.lower() and _FOLDER_GIVEN.search(line):
                yield line

    def kernel_variables(self) -> tuple[str, ...]:
        """Return the names of the variables that say where the kernel's build folder is."""
        found = {name for name in _USUAL if re.search(rf"\$[({{]{name}[)}}]", self.text)}
        for name, values in self.assigned.items():
            if any(_SOURCES.match(value.strip()) for value in values):
                found.add(name)
        for name in _PLACES.findall(self.text):
            if not any(value.strip() for value in self.assigned.get(name, ())):
                found.add(name)
        return tuple(sorted(found - {"MAKE", "CURDIR", "PWD", "src", "srctree", "obj"}))


def find(folder: Path) -> Path | None:
    """Return the file that kbuild, or else make, reads in a folder."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def of_folder(folder: Path) -> Makefile | None:
    """Return what kbuild and make read in a folder, and the ``*.mk`` files beside it."""
    paths = [folder / name for name in NAMES if (folder / name).is_file()]
    if not paths:
        return None
    return read([*paths, *sorted(folder.glob("*.mk"))[:50]])


def lists_objects(folder: Path) -> bool:
    """Whether kbuild finds something to build in a folder."""
    path = find(folder)
    return path is not None and bool(_OBJECTS.search(_text(path)))


def read(paths: Iterable[Path]) -> Makefile:
    """Return what Makefiles say, together."""
    text = "\n".join(_text(path) for path in paths)
    assigned: dict[str, tuple[str, ...]] = {}
    for name, value in _ASSIGNED.findall(text):
        assigned[name] = (*assigned.get(name, ()), value)
    return Makefile(text, assigned)


def _text(path: Path) -> str:
    with open(path, "rb") as file:
        text = file.read(_LONGEST).decode("utf-8", "surrogateescape")
    return text.replace("\\\n", "  ")


def below(folder: Path, depth: int = 4) -> Iterator[Path]:
    """Yield the highest folders below one in which kbuild finds something to build."""
    if depth <= 0:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            if lists_objects(path):
                yield path
            else:
                yield from below(path, depth - 1)


def with_kernel(text: str, build: str, source: str) -> str:
    """Return a file's text with ``/lib/modules/…/build`` and ``…/source`` where they really are."""
    return _MODULE_TREE.sub(lambda match: build if match[1] == "build" else source, text)
