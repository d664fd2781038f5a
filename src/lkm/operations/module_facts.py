"""The facts of modules to compare: parameters, aliases, exports; from files and built in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from lkm.errors import LkmError
from lkm.module.image import ModuleImage


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """One module: its parameters with their types, its aliases, its exports with their CRCs.

    ``problem`` says why its file could not be read; the rest is then empty.
    """

    name: str
    parameters: dict[str, str]
    aliases: tuple[str, ...] = ()
    exports: dict[str, int | None] | None = None
    problem: str = ""


def read_facts(name: str, path: str) -> ModuleFacts:
    """Return the facts of the module ``name`` in the file ``path``."""
    try:
        image = ModuleImage.open(path)
        modinfo = image.modinfo
        return ModuleFacts(
            name,
            parameter_types(modinfo.all("parmtype"), modinfo.all("parm")),
            modinfo.all("alias"),
            {export.name: export.crc for export in image.exports},
        )
    except (LkmError, OSError) as error:
        return ModuleFacts(name, {}, problem=str(error))


def parameter_types(types: Iterable[str], descriptions: Iterable[str]) -> dict[str, str]:
    """Return parameters with their types, from ``parmtype=`` and ``parm=`` fields."""
    found = {text.partition(":")[0]: "" for text in descriptions}
    for text in types:
        name, _, kind = text.partition(":")
        found[name] = kind
    return found


def builtin_facts(directory: str) -> dict[str, ModuleFacts]:
    """Return the modules of the kernel image, from ``modules.builtin.modinfo``.

    Exports are not told there. The dictionary is empty where the file is missing.
    """
    try:
        with open(os.path.join(directory, "modules.builtin.modinfo"), "rb") as file:
            data = file.read()
    except OSError:
        return {}
    fields: dict[str, list[tuple[str, str]]] = {}
    for entry in data.decode("utf-8", "surrogateescape").split("\0"):
        key, equals, value = entry.partition("=")
        module, dot, field = key.partition(".")
        if equals and dot:
            fields.setdefault(module, []).append((field, value))
    return {module: _from_fields(module, pairs) for module, pairs in fields.items()}


def _from_fields(module: str, pairs: list[tuple[str, str]]) -> ModuleFacts:
    def every(field: str) -> list[str]:
        return [value for name, value in pairs if name == field]

    types = parameter_types(every("parmtype"), every("parm"))
    return ModuleFacts(module, types, tuple(every("alias")))
