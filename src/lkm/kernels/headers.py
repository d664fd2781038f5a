"""Make fetched headers usable by kbuild on this machine.

Their Makefiles name the folders they would be installed in. And kbuild runs programs of its own
(modpost, objtool): those of a newer release of the distribution may ask for a newer C library,
and are then started by that release's own loader.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

_FOLDER = ".libraries"
_SCRIPT = """#!/bin/sh
# This machine's C library is older than the one that the program is linked with.
libraries=$(dirname "$(readlink -f "$0")")/{libraries}
exec "$libraries/{loader}" --library-path "$libraries" "$0.elf" "$@"
"""


def make_runnable(root: Path, unpack_c_library: Callable[[Path], None]) -> None:
    """Wrap the programs of kbuild below ``root`` that do not start here, if there are any.

    ``unpack_c_library`` is called with a folder to unpack their C library into.
    """
    for kbuild in _headers(root):
        failing = [path for path in _programs(kbuild) if _lacks_version(path)]
        if failing:
            unpacked = root / ".c-library"
            unpacked.mkdir()
            unpack_c_library(unpacked)
            loader = _keep_libraries(unpacked, kbuild / _FOLDER)
            shutil.rmtree(unpacked)
            for path in failing:
                _wrap(path, kbuild / _FOLDER, loader)


def _headers(root: Path) -> Iterator[Path]:
    """Yield the folders of headers that have programs in them, as each distribution has them."""
    for pattern in ("usr/lib/linux-kbuild-*", "usr/src/kernels/*", "lib/modules/*/build"):
        for folder in sorted(root.glob(pattern)):
            if folder.is_dir() and not folder.is_symlink():
                yield folder


def _programs(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and os.access(path, os.X_OK):
            with open(path, "rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def _lacks_version(program: Path) -> bool:
    """Whether a library here has not the symbol versions that ``program`` asks for."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return "version `GLIBC_" in listed.stdout + listed.stderr


def _keep_libraries(unpacked: Path, folder: Path) -> str:
    """Move the libraries into ``folder``, flat, and return the name of the loader."""
    folder.mkdir()
    for pattern in ("usr/lib/*/*.so*", "lib/*/*.so*", "usr/lib*/*.so*", "lib*/*.so*"):
        for path in sorted(unpacked.glob(pattern)):
            if path.is_file() and not path.is_symlink():
                os.replace(path, folder / path.name)
    return next(path.name for path in sorted(folder.iterdir()) if path.name.startswith("ld-linux"))


def _wrap(program: Path, libraries: Path, loader: str) -> None:
    os.replace(program, program.with_name(program.name + ".elf"))
    place = os.path.relpath(libraries, program.parent)
    program.write_text(_SCRIPT.format(libraries=place, loader=loader))
    program.chmod(0o755)


_HERE = "$(dir $(realpath $(lastword $(MAKEFILE_LIST))))"
_RELOCATED = (
    (re.compile(r"^include /usr/src/", re.MULTILINE), f"include {_HERE}../"),
    (re.compile(r"^KBUILD_OUTPUT *= */usr/src/.*", re.MULTILINE),
     f"KBUILD_OUTPUT := $(patsubst %/,%,{_HERE})"),
)  # fmt: skip


def relocate(root: Path) -> None:
    """Make the headers' Makefile name itself and its neighbour rather than what is installed."""
    for makefile in (root / "usr/src").glob("*/Makefile"):
        moved = text = makefile.read_text(encoding="utf-8", errors="surrogateescape")
        for pattern, replacement in _RELOCATED:
            moved = pattern.sub(replacement, moved)
        if moved != text:
            makefile.write_text(moved, encoding="utf-8", errors="surrogateescape")
