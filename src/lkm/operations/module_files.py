"""Module files named on a command line, and files rewritten with all they had."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass

from lkm import files
from lkm.elf.file import ElfFile, ObjectType
from lkm.elf.source import BytesSource, read_file
from lkm.errors import FormatError, LkmError, NotFoundError
from lkm.module import compression
from lkm.module.compression import Compression
from lkm.tree.module_files import module_files

_OF_CONTENT = ("security.ima", "security.evm")


@dataclass(frozen=True, slots=True)
class ModuleFile:
    """A module file: its path, and the part of it below the directory it was found in."""

    path: str
    relative: str


@dataclass(frozen=True, slots=True)
class FileFailure:
    """Why nothing was done with one file; ``hint`` says what to do next."""

    path: str
    message: str
    hint: str = ""


def find(paths: Iterable[str | os.PathLike[str]]) -> tuple[ModuleFile, ...]:
    """Return the files ``paths``, and for a directory all modules below it, sorted.

    Raises ``NotFoundError`` for a directory without modules.
    """
    found: list[ModuleFile] = []
    for path in [os.fspath(path) for path in paths]:
        if not os.path.isdir(path):
            found.append(ModuleFile(path, os.path.basename(path)))
            continue
        below = sorted(os.path.relpath(entry.path, path) for entry in module_files(path))
        if not below:
            raise NotFoundError(f"{path}: no module below this directory")
        found += [ModuleFile(os.path.join(path, name), name) for name in below]
    return tuple(found)


def expect_one(modules: Iterable[ModuleFile]) -> None:
    """Raise FileNotFoundError when no file is there: before anything is asked of the user."""
    paths = [module.path for module in modules]
    if not any(map(os.path.lexists, paths)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), paths[0])


def read(path: str) -> tuple[bytes, Compression]:
    """Return the unpacked bytes of the module file ``path`` and how it was packed."""
    data = read_file(path)
    return compression.decompress(data, path=path), compression.detect(data)


def check_is_module(data: bytes, path: str) -> None:
    """Raise ``FormatError`` unless ``data`` is a relocatable ELF file with a ``.modinfo``."""
    elf = ElfFile(BytesSource(data, path))
    if elf.header.type != ObjectType.RELOCATABLE or elf.section(".modinfo") is None:
        raise FormatError(
            "a kernel module",
            "an ELF file of another kind",
            path=path,
            hint="a module is the .ko that kbuild makes, not an object (.o) or a program",
        )


def check_is_elf(data: bytes, path: str) -> None:
    """Raise ``FormatError`` unless ``data`` starts as an ELF file does."""
    if not data.startswith(b"\x7fELF"):
        raise FormatError("a kernel module", repr(data[:8]), path=path, offset=0)


def write(source: str, target: str, data: bytes, packed: Compression) -> None:
    """Write ``data``, packed as ``packed``, to ``target``, with the mode and owner of ``source``.

    A symbolic link is followed, so that the file it names is replaced and not the link. The file is
    a new one: other names of the old one (hard links) keep the old content. Of the extended
    attributes, those of IMA and EVM are left out, for they hold for the old content.
    """
    if os.path.islink(target) and os.lstat(target).st_uid not in (0, os.geteuid()):
        raise PermissionError(
            errno.EPERM, "a symbolic link of another user is not followed", target
        )
    status = os.stat(source)
    place = os.path.realpath(target)
    with files.Replacing(place, mode=status.st_mode & 0o7777) as stream:
        stream.write(compression.compress(data, packed))
        if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(stream.fileno(), status.st_uid, status.st_gid)
        _copy_attributes(source, stream.fileno())


def _copy_attributes(source: str, target: int) -> None:
    with contextlib.suppress(OSError):  # a file system without
        for name in os.listxattr(source):
            if name not in _OF_CONTENT:
                os.setxattr(target, name, os.getxattr(source, name))


def failure(path: str, error: Exception) -> FileFailure:
    """Return what ``error`` (an ``LkmError`` or ``OSError``) says of ``path``."""
    if isinstance(error, LkmError):
        return FileFailure(path, str(error), error.hint)
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return FileFailure(path, f"{path}: {text}")
