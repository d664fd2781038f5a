"""Which commands there are: one file each in ``lkm.cli.commands``.

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


def names() -> list[str]:
    """Return the names of all commands, sorted."""
    return sorted(
        file[:-3].rstrip("_").replace("_", "-")
        for file in os.listdir(_FOLDER)
        if file.endswith(".py") and not file.startswith("_")
    )


def module_name(command: str) -> str | None:
    """Return the Python module of ``command``, or ``None`` when there is none of that name."""
    stem = command.replace("-", "_")
    for candidate in (stem, f"{stem}_"):
        if os.path.exists(os.path.join(_FOLDER, f"{candidate}.py")):
            return f"lkm.cli.commands.{candidate}"
    return None


def summary(command: str) -> str:
    """Return the one-line description of ``command`` without importing it."""
    module = module_name(command)
    if module is None:
        return ""
    with open(os.path.join(_FOLDER, module.rpartition(".")[2] + ".py"), encoding="utf-8") as file:
        return file.readline().strip().strip('"').rstrip(".")
