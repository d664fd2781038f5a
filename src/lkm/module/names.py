"""Module names, aliases and file suffixes, normalised as kmod does (``shared/util.c``)."""

from __future__ import annotations

MODULE_SUFFIXES = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")


def normalize(name: str) -> str:
    """Return a module or parameter name as the kernel spells it: every ``-`` made ``_``."""
    return name.replace("-", "_")


def module_name(path: str) -> str:
    """Return the module name for a file: its base name up to the first dot, ``-`` made ``_``.

    As kmod does (``shared/util.c: path_to_modname``).
    """
    return normalize(path[path.rfind("/") + 1 :].partition(".")[0])


def is_module_file(name: str) -> bool:
    """Say whether a file name ends as a module's does, with something before the ending."""
    return name.endswith(MODULE_SUFFIXES) and not name.startswith(MODULE_SUFFIXES)


def normalize_alias(alias: str) -> str | None:
    """Make every ``-`` outside of brackets a ``_``; ``None`` when a bracket has no partner."""
    if "[" not in alias and "]" not in alias:
        return normalize(alias)
    parts = []
    rest = alias
    while rest:
        before, opened, rest = rest.partition("[")
        if "]" in before:
            return None
        parts.append(normalize(before))
        if not opened:
            break
        inside, closed, rest = rest.partition("]")
        if not closed:
            return None
        parts.append(f"[{inside}]")
    return "".join(parts)
