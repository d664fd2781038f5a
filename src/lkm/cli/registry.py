"""Which commands there are: one file each in ``lkm.cli.commands`` and its folders.

A file ``load_list.py`` is the command ``load-list``; ``try_.py`` is ``try``. The first line of its
docstring is its summary. A kmod tool has ``run(arguments) -> status`` and parses its own options,
as getopt_long does; any other file has ``command``, a ``click.Command``.
"""

from __future__ import annotations

import os

KMOD_TOOLS = frozenset({"modinfo", "modprobe", "insmod", "rmmod", "lsmod", "depmod", "kmod"})

OWN_PARSERS = KMOD_TOOLS | {"dkms"}
"""The commands that parse their options themselves, as the program of that name does."""

_FOLDER = os.path.join(os.path.dirname(__file__), "commands")
_GROUPS = ("", "boot_tools", "kmod_tools", "trust")
"""The folders that commands lie in, below ``commands``."""


def names() -> list[str]:
    """Return the names of all commands, sorted."""
    return sorted(
        file[:-3].rstrip("_").replace("_", "-")
        for group in _GROUPS
        for file in os.listdir(os.path.join(_FOLDER, group))
        if file.endswith(".py") and not file.startswith("_")
    )


def module_name(command: str) -> str | None:
    """Return the Python module of ``command``, or ``None`` when there is none of that name."""
    path = _path(command)
    if path is None:
        return None
    inside = os.path.relpath(path, _FOLDER).removesuffix(".py")
    return f"lkm.cli.commands.{inside.replace(os.sep, '.')}"


def summary(command: str) -> str:
    """Return the one-line description of ``command`` without importing it."""
    path = _path(command)
    if path is None:
        return ""
    with open(path, encoding="utf-8") as file:
        return file.readline().strip().strip('"').rstrip(".")


def _path(command: str) -> str | None:
    stem = command.replace("-", "_")
    for group in _GROUPS:
        for candidate in (stem, f"{stem}_"):
            path = os.path.join(_FOLDER, group, f"{candidate}.py")
            if os.path.exists(path):
                return path
    return None
