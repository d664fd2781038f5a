"""The reports of ``depmod -e``: unresolved symbols and CRCs that disagree; ``-v``'s reasons.

Source: kmod's ``tools/depmod.c: depmod_load_symvers, depmod_load_system_map,
depmod_load_module_dependencies``.
"""

from __future__ import annotations

import os

from lkm.depmod.careful import exported, wanted
from lkm.depmod.module_facts import ended, unended
from lkm.depmod.scan import iterate_versions, undefined_names
from lkm.errors import LkmError
from lkm.module.image import ModuleImage

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lkm.depmod.rules import Report
    from lkm.depmod.scan import Scanned
    from lkm.depmod.tree_facts import ModuleColumns

# What the kernel's loader, or the linker of some architectures, makes up.
_MADE_UP = (b"__this_module", b"_GLOBAL_OFFSET_TABLE_")
_TOC = b"TOC."
_EXPORT = b"__ksymtab_"


def read_symvers(path: str, prefix: bytes, report: Report) -> dict[bytes, int]:
    """Return the symbols and CRCs of the kernel proper in a Module.symvers file."""
    symbols: dict[bytes, int] = {}
    for number, line in _lines(path):
        match line.split():
            case [crc, name, b"vmlinux", *_]:
                try:
                    symbols[name.removeprefix(prefix)] = int(crc, 16)
                except ValueError:
                    word = os.fsdecode(crc)
                    report("ERROR", f"{path}:{number} Invalid symbol version {word}: Success")
    return _with_made_up(symbols)


def read_system_map(path: str, prefix: bytes, report: Report) -> dict[bytes, int]:
    """Return the symbols a System.map file says the kernel exports; their CRCs are 0."""
    symbols: dict[bytes, int] = {}
    for number, line in _lines(path):
        parts = line.split(b" ", 2)
        if len(parts) < 3:
            report("ERROR", f"{path}:{number}: invalid line: {os.fsdecode(line)}\n")
            continue
        name = parts[2].removeprefix(prefix)
        if name.startswith(_EXPORT):
            symbols[name.removeprefix(_EXPORT)] = 0
    return _with_made_up(symbols)


def _lines(path: str) -> Iterator[tuple[int, bytes]]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            yield number, line.rstrip(b"\n")


def _with_made_up(symbols: dict[bytes, int]) -> dict[bytes, int]:
    return symbols | dict.fromkeys(_MADE_UP, 0) | {_TOC: symbols.get(_TOC, 0)}


def report_unresolved(
    directory: str,
    facts: ModuleColumns,
    scanned: Sequence[Scanned],
    kernel: Mapping[bytes, int],
    report: Report,
    *,
    with_crcs: bool,
    prefix: bytes = b"",
) -> None:
    """Report every symbol that no module and not the kernel has, unless it is weak.

    ``with_crcs`` also reports those whose CRC is not the one the module was built against.
    """
    symbols = dict(kernel)
    for path, exports in zip(facts.paths, facts.exports, strict=True):
        if exports:
            names = exports.split(b"\0")[:-1]
            crcs = _exported_crcs(os.path.join(directory, path)) if with_crcs else {}
            symbols.update({n.removeprefix(prefix): crcs.get(n, 0) for n in names})
    for path, (module, _) in zip(facts.paths, scanned, strict=True):
        if prefix or _suspicious(module[4], module[5], symbols, with_crcs=with_crcs):
            full = os.path.join(directory, path)
            _report_module(full, symbols, report, with_crcs=with_crcs, prefix=prefix)


def _suspicious(
    versions: bytes | memoryview, imports: bytes, symbols: Mapping[bytes, int], *, with_crcs: bool
) -> bool:
    """Say whether a module needs the full look, for which its symbols must be decoded."""
    if with_crcs:
        return True
    names = [name.rstrip(b"\0") for (name,) in iterate_versions(versions)]
    return not symbols.keys() >= set(names or imports.split(b"\0")[:-1])


def _report_module(
    path: str, symbols: Mapping[bytes, int], report: Report, *, with_crcs: bool, prefix: bytes
) -> None:
    for name, crc, weak in _wanted(path):
        plain = name.removeprefix(b".").removeprefix(prefix)
        text = os.fsdecode(name)
        if weak:
            continue
        if plain not in symbols:
            report("WARNING", f"{path} needs unknown symbol {text}")
        elif with_crcs and symbols[plain] != (crc or 0):
            report("WARNING", f"{path} disagrees about version of symbol {text}")


def _wanted(path: str) -> list[tuple[bytes, int | None, bool]]:
    try:
        return list(wanted(ModuleImage.open(path).elf))
    except (LkmError, OSError):
        return []


def _exported_crcs(path: str) -> dict[bytes, int]:
    try:
        return dict(exported(ModuleImage.open(path).elf))
    except (LkmError, OSError):
        return {}


def without_prefix(
    directory: str, paths: Sequence[str], scanned: Sequence[Scanned], prefix: bytes
) -> list[Scanned]:
    """Return the facts with the architecture's symbol prefix taken off all symbols."""
    stripped: list[Scanned] = []
    for path, (facts, signature) in zip(paths, scanned, strict=True):
        exports = [name.removeprefix(prefix) for name in unended(facts[3])]
        names = undefined_names(os.path.join(directory, path)) if facts[4] else unended(facts[5])
        imports = [name.removeprefix(b".").removeprefix(prefix) for name in names]
        changed = (*facts[:3], ended(exports), b"", ended(imports), facts[6])
        stripped.append((changed, signature))
    return stripped


def reasons(directory: str, facts: ModuleColumns, prefix: bytes = b"") -> Iterator[str]:
    """Yield why each module needs each other one: the first symbol it takes from it."""
    owners = facts.owners()
    for path, imports in zip(facts.paths, facts.imports, strict=True):
        if not imports:
            continue
        full = os.path.join(directory, path)
        told: set[int] = set()
        for name in undefined_names(full):
            plain = name.removeprefix(b".").removeprefix(prefix)
            owner = owners.get(plain)
            if owner is not None and owner not in told:
                told.add(owner)
                other = os.path.join(directory, facts.paths[owner])
                yield f'{full} needs "{os.fsdecode(plain)}": {other}'
