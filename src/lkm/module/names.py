"""Module names, from file names."""

from __future__ import annotations


def module_name(path: str) -> str:
    """Return the module name for a file: its base name up to the first dot, ``-`` made ``_``.

    As kmod does (``shared/util.c: path_to_modname``).
    """
    return path[path.rfind("/") + 1 :].partition(".")[0].replace("-", "_")
