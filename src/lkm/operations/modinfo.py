"""The fields that modinfo shows, of a module file, an installed module or a built-in one.

Names are looked up in the order libkmod does (``libkmod/libkmod-module.c:
kmod_module_new_from_lookup``); modprobe.d does not count.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from lkm.errors import FormatError, NotFoundError
from lkm.module import modinfo, signer
from lkm.module.image import ModuleImage
from lkm.module.names import is_module_file, module_name, normalize_alias

BUILTIN = "(builtin)"
_BUILTIN_MODINFO = "modules.builtin.modinfo"


@dataclass(frozen=True, slots=True)
class Found:
    """A module that was asked for: its name and file; ``path`` is ``None`` for a built-in one."""

    name: str
    path: str | None


def find(wanted: str, directory: str, *, only_name: bool = False) -> tuple[Found, ...]:
    """Return the modules ``wanted`` means: a file, a module name, an alias.

    ``directory`` is ``lib/modules/RELEASE`` of some root. With ``only_name`` neither files nor
    aliases are tried. Raises ``NotFoundError``.
    """
    if not only_name and is_module_file(os.path.basename(wanted)) and os.path.isfile(wanted):
        path = wanted if wanted.startswith("/") else f"{os.getcwd()}/{wanted}"
        return (Found(module_name(path), path),)
    name = module_name(wanted) if only_name else normalize_alias(wanted)
    if name is None:
        raise NotFoundError(f"Module alias {wanted} not found.")
    found = tuple(_look_up(name, directory, only_name))
    if not found:
        kind = "Module name" if only_name else "Module"
        raise NotFoundError(f"{kind} {wanted} not found.")
    return found


def _look_up(name: str, directory: str, only_name: bool) -> Iterator[Found]:
    # Only names need the indexes; a file is shown without paying for them.
    from lkm.tree.indexes import Indexes

    indexes = Indexes(directory)
    line = indexes.dependency_line(name)
    if line is not None:
        yield _installed(name, line, directory)
        return
    if not only_name:
        symbol = indexes.symbols(name) if name.startswith("symbol:") else ()
        aliased = symbol or indexes.aliases(name)
        for module in dict.fromkeys(aliased):
            yield _by_name(module, directory)
        if aliased:
            return
    if indexes.is_builtin(name):
        yield Found(name, None)
        return
    for module in dict.fromkeys(indexes.builtin_aliases(name)):
        yield Found(module, None)


def _by_name(module: str, directory: str) -> Found:
    return next(iter(_look_up(module, directory, only_name=True)), Found(module, None))


def _installed(name: str, line: str, directory: str) -> Found:
    path = line.partition(":")[0]
    return Found(name, path if path.startswith("/") else f"{directory}/{path}")


def fields(found: Found, directory: str) -> tuple[tuple[str, str], ...]:
    """Return the module's fields as modinfo shows them, those of its signature last.

    Raises ``FormatError`` for a file that is no module and ``OSError`` for one that cannot be
    read; a built-in module the kernel tells nothing of has no fields.
    """
    if found.path is None:
        return _builtin_fields(found.name, directory)
    image = ModuleImage.open(found.path)
    own = image.modinfo.fields
    if not own and image.elf.section(".modinfo") is None:
        raise FormatError("a .modinfo section", "none", path=found.path)
    return own + _signature_fields(image)


def _builtin_fields(name: str, directory: str) -> tuple[tuple[str, str], ...]:
    try:
        with open(f"{directory}/{_BUILTIN_MODINFO}", "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return ()
    prefix = name.encode("utf-8", "surrogateescape") + b"."
    own = [e[len(prefix) :] for e in data.split(b"\0") if e.startswith(prefix)]
    if not own:
        raise NotFoundError(f"{_BUILTIN_MODINFO} says nothing of {name}")
    return modinfo.parse(b"\0".join(own)).fields


def _signature_fields(image: ModuleImage) -> tuple[tuple[str, str], ...]:
    try:
        signature = image.signature
    except FormatError:  # kmod passes over a damaged trailer; `lkm verify` does not
        return ()
    who = signer.read(signature) if signature else None
    if who is None:
        return ()
    return (
        ("sig_id", who.id_type),
        ("signer", who.name),
        ("sig_key", _hexadecimal(who.key_id)),
        ("sig_hashalgo", who.digest),
        ("signature", _hexadecimal(who.signature)),
    )


def _hexadecimal(data: bytes) -> str:
    """Return pairs of digits, twenty a line, as libkmod's kmod_module_info_append_hex has them."""
    text = data.hex(":").upper()
    return "\n\t\t".join([text[start : start + 60] for start in range(0, len(text), 60)])
