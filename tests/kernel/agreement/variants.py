"""Modules made wrong in one place each, from good ones."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path

from lkm.elf.file import Section
from lkm.module import signature
from lkm.module.image import ModuleImage
from tests.support.corrupt import with_field, without_field
from tests.support.kernels import kernel_files
from tests.support.modules import built
from tests.support.signing import Workshop, workshop


@functools.cache
def ours(name: str) -> bytes:
    """One of our own modules."""
    return built(name).read_bytes()


@functools.cache
def debian(name: str) -> bytes:
    """One of the distribution's modules, signed by it."""
    (path,) = kernel_files().modules.rglob(f"{name}.ko")
    return path.read_bytes()


@functools.cache
def keys() -> Workshop:
    """Keys of our own, none of which the kernel trusts."""
    return workshop(Path(tempfile.mkdtemp(prefix="lkm-keys-")), kernel_files())


def unsigned(name: str) -> bytes:
    return signature.strip(debian(name))


def field(name: str, key: str, value: str) -> bytes:
    return with_field(ours(name), key, value)


def no_field(name: str, key: str) -> bytes:
    return without_field(ours(name), key)


def patched(data: bytes, offset: int, new: bytes) -> bytes:
    assert offset + len(new) <= len(data)
    return data[:offset] + new + data[offset + len(new) :]


def section(data: bytes, name: str) -> Section:
    found = ModuleImage.from_bytes(data).elf.section(name)
    assert found is not None, name
    return found


def with_crc(data: bytes, symbol: str, crc: int) -> bytes:
    """Change the CRC that the module wants of ``symbol`` (``struct modversion_info``)."""
    versions = section(data, "__versions")
    name = data.index(symbol.encode() + b"\0", versions.offset)
    assert name < versions.offset + versions.size
    return patched(data, name - 8, crc.to_bytes(8, "little"))


def with_byte_flipped(data: bytes, name: str, place: int = 0) -> bytes:
    offset = section(data, name).offset + place
    return patched(data, offset, bytes([data[offset] ^ 0xFF]))


def without_section(data: bytes, name: str) -> bytes:
    """Rename a section, so that it is not found."""
    table = section(data, ".shstrtab")
    place = data.index(name.encode() + b"\0", table.offset)
    return patched(data, place, b"x" * len(name))


@functools.cache
def stripped(name: str) -> bytes:
    """What ``strip`` makes of a module: it takes the symbol table the loader needs."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "stripped.ko")
        command = ["strip", "--strip-all", "-o", str(target), str(built(name))]
        subprocess.run(command, check=True)
        return target.read_bytes()


def renamed(data: bytes, old: str, new: str) -> bytes:
    """Return the module under another name of the same length, its symbols unchanged."""
    assert len(old) == len(new)
    for before in (b"\0", b"="):
        data = data.replace(before + old.encode() + b"\0", before + new.encode() + b"\0")
    return data
