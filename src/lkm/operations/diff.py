"""Compare the modules of two kernels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lkm.errors import LkmError
from lkm.kernels.known import find_kernel, image_of
from lkm.module.names import module_name
from lkm.operations import module_files
from lkm.operations.kept_facts import facts_of
from lkm.operations.module_facts import ModuleFacts, builtin_facts
from lkm.operations.parallel import Progress
from lkm.tree.root import Root, find_root
from lkm.vmlinux.image import open_cached

KERNEL = "vmlinux"
"""The module name that stands for the kernel image's own exports."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed: ``before`` is ``None`` for what is new, ``after`` for what is gone.

    ``name`` is a module, parameter, alias or symbol; ``module`` the module it belongs to.
    """

    name: str
    module: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class TreeDifference:
    """The changes from the release ``before`` to ``after``.

    For modules the values are ``module`` or ``built in``, for parameters their types, for
    aliases empty, for exports their CRCs (``0x…``, empty without one). ``problems`` are files
    that could not be read.
    """

    before: str
    after: str
    modules: tuple[Change, ...]
    parameters: tuple[Change, ...]
    aliases: tuple[Change, ...]
    exports: tuple[Change, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One kernel: its modules, those built in, and where the image exports what."""

    root: Root
    modules: dict[str, ModuleFacts]
    builtin: dict[str, ModuleFacts]
    kernel: dict[str, int | None] | None
    problems: tuple[str, ...]


def diff(before: str, after: str, progress: Progress | None = None) -> TreeDifference:
    """Compare two kernels, each a release, or a root directory with one module tree."""
    old, new = read_side(before, progress), read_side(after, progress)
    return compare(old, new)


def read_side(what: str, progress: Progress | None = None) -> Side:
    """Read all that is compared of one kernel; NotFoundError when it is not here."""
    root, image = _locate(what)
    paths = _module_paths(root.modules_directory)
    facts = facts_of(root.modules_directory, paths, f"reading modules of {root.release}", progress)
    problems = [fact.problem for fact in facts if fact.problem]
    kernel = None
    try:
        kernel = {e.name: e.crc for e in open_cached(image).exports} if image else None
    except LkmError as error:
        problems.append(str(error))
    builtin = builtin_facts(root.modules_directory)
    return Side(root, {fact.name: fact for fact in facts}, builtin, kernel, tuple(problems))


def _locate(what: str) -> tuple[Root, str | None]:
    if os.path.isdir(what):
        root = find_root(what)
        image = image_of(Path(what), root.release)
        return root, str(image) if image else None
    kernel = find_kernel(what)
    return Root(kernel.root, kernel.release), str(kernel.vmlinuz) if kernel.vmlinuz else None


def _module_paths(directory: str) -> dict[str, str]:
    """Return the modules and their files: those depmod knows, else those that are there."""
    try:
        with open(f"{directory}/modules.dep", encoding="utf-8", errors="surrogateescape") as file:
            names = [line.partition(":")[0] for line in file if ":" in line]
    except FileNotFoundError:
        return {module_name(found.path): found.path for found in module_files.find([directory])}
    return {module_name(name): os.path.join(directory, name) for name in names}


def compare(old: Side, new: Side) -> TreeDifference:
    """Compare two kernels that were read."""
    return TreeDifference(
        before=old.root.release,
        after=new.root.release,
        modules=_changes({"": _places(old)}, {"": _places(new)}, owner_is_name=True),
        parameters=_changes(
            {name: fact.parameters for name, fact in _both(old).items()},
            {name: fact.parameters for name, fact in _both(new).items()},
        ),
        aliases=_changes(
            {name: dict.fromkeys(fact.aliases, "") for name, fact in _both(old).items()},
            {name: dict.fromkeys(fact.aliases, "") for name, fact in _both(new).items()},
        ),
        exports=_export_changes(old, new),
        problems=old.problems + new.problems,
    )


def _places(side: Side) -> dict[str, str]:
    return {**dict.fromkeys(side.builtin, "built in"), **dict.fromkeys(side.modules, "module")}


def _both(side: Side) -> dict[str, ModuleFacts]:
    return {**side.builtin, **side.modules}


def _changes(
    old: Mapping[str, Mapping[str, str]],
    new: Mapping[str, Mapping[str, str]],
    *,
    owner_is_name: bool = False,
) -> tuple[Change, ...]:
    """Compare values by module and name; modules that only one side has are left to themselves."""
    found = []
    for module in sorted(old.keys() & new.keys()):
        before, after = old[module], new[module]
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                owner = name if owner_is_name else module
                found.append(Change(name, owner, before.get(name), after.get(name)))
    return tuple(found)


def _export_changes(old: Side, new: Side) -> tuple[Change, ...]:
    """Compare symbols by name alone: a symbol that moved to another module is still there."""
    with_kernel = old.kernel is not None and new.kernel is not None
    before, after = _exports(old, with_kernel), _exports(new, with_kernel)
    found = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        old_crc, new_crc = was and was[1], now and now[1]
        if old_crc != new_crc:
            found.append(Change(name, (now or was or ("", ""))[0], old_crc, new_crc))
    return tuple(found)


def _exports(side: Side, with_kernel: bool) -> dict[str, tuple[str, str]]:
    tables = {name: fact.exports or {} for name, fact in side.modules.items()}
    if with_kernel:
        tables[KERNEL] = side.kernel or {}
    return {
        symbol: (module, "" if crc is None else f"{crc:#010x}")
        for module, table in tables.items()
        for symbol, crc in table.items()
    }
