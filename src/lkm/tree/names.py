"""Module names and aliases as kmod normalises them (``shared/util.c``)."""

from __future__ import annotations

from lkm.module.names import module_name

__all__ = ["EXTENSIONS", "is_module_file", "module_name", "normalize_alias"]

EXTENSIONS = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")


def is_module_file(name: str) -> bool:
    """Say whether a file name ends as a module's does, with something before the ending."""
    return name.endswith(EXTENSIONS) and not name.startswith(EXTENSIONS)


def normalize_alias(alias: str) -> str | None:
    """Make every ``-`` outside of brackets a ``_``; ``None`` when a bracket has no partner."""
    if "[" not in alias and "]" not in alias:
        return alias.replace("-", "_")
    parts = []
    rest = alias
    while rest:
        before, opened, rest = rest.partition("[")
        if "]" in before:
            return None
        parts.append(before.replace("-", "_"))
        if not opened:
            break
        inside, closed, rest = rest.partition("]")
        if not closed:
            return None
        parts.append(f"[{inside}]")
    return "".join(parts)
