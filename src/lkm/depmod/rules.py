"""depmod.d's rules for one kernel: which directories are searched, and which of two modules wins.

Source: kmod's ``tools/depmod.c: cfg_load, depmod_module_is_higher_priority``.
"""

from __future__ import annotations

import os

from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Report = Callable[[str, str], None]
    """Takes a message: its level (``ERROR``, ``WARNING``, ``NOTICE``, ``INFO``) and its text."""

_BUILT_IN = "built-in"
_EXTERNAL = "external"


class Rules(Record):
    """The rules that count for a release, the last written first, as kmod keeps them."""

    searches: tuple[str, ...] = ("updates",)
    overrides: tuple[str, ...] = ()
    externals: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()


DIRECTORIES = ("/etc/depmod.d", "/run/depmod.d", "/usr/local/lib/depmod.d", "/lib/depmod.d")


def load_rules(paths: Sequence[str], release: str, report: Report) -> Rules:
    """Read depmod.d's ``paths`` (directories, the strongest first, or files) for ``release``."""
    if not any(map(_has_entries, paths)):
        return Rules()  # spares the import of the parser, which most runs have no use for
    from lkm.depmod.config import read_depmod_config

    collected: dict[str, list[str]] = {"search": [], "override": [], "external": [], "exclude": []}
    rules, bad_lines = read_depmod_config(paths)
    for rule in rules:
        match rule.kind, rule.words:
            case "override", (module, version, folder, *_):
                if _meant(version, release):
                    collected["override"].append(f"{folder}/{module}")
                else:
                    report("INFO", f"{rule.source}: override kernel did not match {version}")
            case "external", (version, folder, *_):
                if _meant(version, release):
                    collected["external"].append(folder)
                else:
                    report("INFO", f"{rule.source}: external directory did not match {version}")
            case kind, words:
                collected[kind] += words
    for bad in bad_lines:
        place = f"{bad.source.path}:{bad.last_line}"
        if bad.deprecated:
            report("INFO", f"{place}: command {bad.word} not implemented yet")
        else:
            report("ERROR", f"{place}: ignoring bad line starting with '{bad.word}'")
    return Rules(
        searches=tuple(reversed(collected["search"])) or ("updates",),
        overrides=tuple(reversed(collected["override"])),
        externals=tuple(reversed(collected["external"])),
        excludes=tuple(collected["exclude"]),
    )


def _has_entries(path: str) -> bool:
    try:
        return bool(os.listdir(path))
    except NotADirectoryError:
        return True
    except OSError:
        return False


def _meant(pattern: str, release: str) -> bool:
    import re  # for depmod.d, which most systems leave empty

    try:
        return pattern == "*" or re.search(pattern, release) is not None
    except re.error:
        return False


def keeps(rules: Rules, directory: str, old: str, new: str, name_size: int) -> bool:
    """Say whether the module file ``old`` stays when ``new`` has the same module name.

    Both are full paths; ``name_size`` is the length of the module name.
    """
    old_stem, new_stem = (_stem(path, name_size) for path in (old, new))
    old_inside, new_inside = (_inside(stem, directory) for stem in (old_stem, new_stem))
    for override in rules.overrides:
        if new_inside == override:
            return False
        if old_inside == override:
            return True
    built_in = old_place = new_place = -1
    place = 0
    for search in rules.searches:
        if search == _BUILT_IN:
            built_in = place
        elif search == _EXTERNAL:
            for folder in rules.externals:
                if new_stem.startswith(f"{folder}/"):
                    new_place = place
                if old_stem.startswith(f"{folder}/"):
                    old_place = place
                place += 1
        # With both in the same directory only the new one's place is noted, and it wins.
        elif new_inside.startswith(f"{search}/"):
            new_place = place
        elif old_inside.startswith(f"{search}/"):
            old_place = place
        place += 1
    return (new_place if new_place >= 0 else built_in) <= (
        old_place if old_place >= 0 else built_in
    )


def _stem(path: str, name_size: int) -> str:
    """Return a path up to where the module name ends in it."""
    return path[: path.rfind("/") + 1 + name_size]


def _inside(stem: str, directory: str) -> str:
    return stem[len(directory) + 1 :] if stem.startswith(directory) else ""
