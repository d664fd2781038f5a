"""Find the modules of a kernel and put them into depmod's order.

Source: kmod's ``tools/depmod.c: depmod_modules_search, depmod_modules_sort``.
"""

from __future__ import annotations

import os
import stat

from lkm.depmod.rules import Rules, keeps
from lkm.module.names import MODULE_SUFFIXES, module_name

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lkm.depmod.listings import Listings
    from lkm.depmod.rules import Report

_NEVER = frozenset({"build", "source"})
_LONGEST_LINE = 4095  # kmod reads lines into a buffer of PATH_MAX bytes


def find_modules(
    directory: str, rules: Rules, report: Report, listings: Listings | None = None
) -> dict[str, str]:
    """Return the modules below ``directory`` and depmod.d's external ones: name → path.

    Paths inside are relative, others absolute. With ``listings`` of a walk by the same rules, only
    directories that have changed since are listed. Raises ``OSError`` when ``directory`` cannot be
    listed.
    """
    found: dict[str, str] = {}
    os.stat(directory)
    for folder in (directory, *rules.externals):
        inside = folder == directory
        for relative in _module_files(folder, rules, report, listings):
            path = relative if inside else _relative(f"{folder}/{relative}", directory)
            name = module_name(path)
            old = found.setdefault(name, path)
            if old is not path and not _stays(rules, directory, old, path, name):
                found[name] = path
    return found


def _stays(rules: Rules, directory: str, old: str, new: str, name: str) -> bool:
    old, new = (path if path[0] == "/" else f"{directory}/{path}" for path in (old, new))
    return keeps(rules, directory, old, new, len(name))


def _relative(path: str, directory: str) -> str:
    return path.removeprefix(f"{directory}/") if path[0] == "/" else path


def _module_files(
    folder: str, rules: Rules, report: Report, listings: Listings | None
) -> Iterator[str]:
    """Yield the module files below ``folder`` in the order of its directories' entries."""
    listed = _Listed(folder, rules, report, listings)
    stack = [("", listed.names(""))]
    while stack:
        prefix, names = stack[-1]
        for name in names:
            if name[-1] != "/":
                yield prefix + name
            else:
                stack.append((prefix + name, listed.names(prefix + name)))
                break
        else:
            stack.pop()


class _Listed:
    """The directories below ``folder``, listed one by one."""

    def __init__(
        self, folder: str, rules: Rules, report: Report, listings: Listings | None
    ) -> None:
        self._folder = folder
        self._excluded = _NEVER.union(rules.excludes)
        self._report = report
        self._listings = listings

    def names(self, prefix: str) -> Iterator[str]:
        """Return the names of what a directory holds: modules, and directories with a ``/``.

        ``prefix`` is its own path and a ``/``; empty for the folder itself.
        """
        path = f"{self._folder}/{prefix}"[:-1]
        known = self._listings.names(path) if self._listings else None
        if known is not None:
            return iter(known)
        entries = _entries(path, self._report)
        if entries is None:
            return iter(())
        return self._noted(path, prefix, entries)

    def _noted(self, path: str, prefix: str, entries: Sequence[os.DirEntry[str]]) -> Iterator[str]:
        """Yield what is found and let it be kept, where nothing but the directory decides it."""
        names = []
        others: list[str] = []
        for name in self._found(prefix, entries, others):
            names.append(name)
            yield name
        if self._listings and not others:
            self._listings.keep(path, names)

    def _found(
        self, prefix: str, entries: Sequence[os.DirEntry[str]], others: list[str]
    ) -> Iterator[str]:
        """Yield the names; what depends on more than this directory is put in ``others``."""
        for entry in entries:
            name = entry.name
            if name in self._excluded:
                continue
            if entry.is_symlink():
                others.append(name)
            if name.endswith(MODULE_SUFFIXES) and entry.is_file():
                if name[0] != "." or name not in MODULE_SUFFIXES:
                    yield name
            elif entry.is_dir():
                if entry.is_symlink() and _circular(self._folder, prefix, entry.path):
                    self._report("ERROR", f"{entry.path} leads back to a directory above it")
                    continue
                yield f"{name}/"
            elif not entry.is_file():
                others.append(name)
                _report_odd(entry, self._report)


def _entries(folder: str, report: Report) -> list[os.DirEntry[str]] | None:
    # All at once: an open directory for each level could be more than a process may have.
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        report("ERROR", f"could not open directory {folder}: {error.strerror}")
        return None


def _circular(folder: str, prefix: str, path: str) -> bool:
    target = os.stat(path)
    above = folder
    if os.path.samestat(os.stat(above), target):
        return True
    for part in prefix.split("/")[:-1]:
        above = f"{above}/{part}"
        if os.path.samestat(os.stat(above), target):
            return True
    return False


def _report_odd(entry: os.DirEntry[str], report: Report) -> None:
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        report("ERROR", f"could not stat {entry.path}: {error.strerror}")
        return
    report("ERROR", f"unsupported file type {entry.path}: {stat.S_IFMT(mode):o}")


def in_order(directory: str, found: dict[str, str], report: Report) -> list[str]:
    """Return the paths of ``found`` in the order of ``modules.order``, the unlisted ones last.

    Those, and all where that file cannot be used, are in the order of kmod's hash table.
    """
    listed = _listed(directory, report)
    rest = found
    ordered: list[str] = []
    if listed:
        # A line is a module's path, as if it were not packed.
        by_line = {
            path[: path.rfind("/") + 1 + len(name) + len(".ko")]: path
            for name, path in found.items()
            if path[0] != "/"
        }
        # Of a line that is there twice the last one counts.
        lines = list(dict.fromkeys(reversed([line for line in listed if line in by_line])))
        ordered = [by_line[line] for line in reversed(lines)]
        if len(ordered) == len(found):
            return ordered
        done = set(ordered)
        rest = {name: path for name, path in found.items() if path not in done}
    from lkm.depmod.hash_order import MODULE_BUCKETS, in_hash_order  # few trees have such modules

    by_name = {os.fsencode(name): path for name, path in rest.items()}
    return ordered + [by_name[name] for name in in_hash_order(by_name, MODULE_BUCKETS)]


def _listed(directory: str, report: Report) -> list[str]:
    path = f"{directory}/modules.order"
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read()
    except OSError as error:
        report("WARNING", f"could not open modules.order at {directory}: {error.strerror}")
        return []
    lines = data.split(b"\n")
    sizes = list(map(len, lines))
    if max(sizes) >= _LONGEST_LINE or sizes[-1]:
        number = next((n for n, size in enumerate(sizes, 1) if size >= _LONGEST_LINE), len(sizes))
        report("ERROR", f"{path}:{number} corrupted line misses '\\n'")
        return []
    return os.fsdecode(data).split("\n")
