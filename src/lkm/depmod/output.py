"""The contents of each index file, byte for byte as kmod 30's depmod writes them.

Source: the ``output_`` functions of kmod's ``tools/depmod.c``. A module's place in the order is
the priority of its values.
"""

from __future__ import annotations

import os
from itertools import pairwise

from lkm.module.names import module_name, normalize_alias
from lkm.tree.index_writer import pack_all, pack_single, pack_value, sorted_trie

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lkm.depmod.rules import Report

    Strings = Sequence[bytes]
    """For each module, in order, its aliases (or softdeps, or weakdeps), each ended by a NUL."""

_ALIAS_HEADER = b"# Aliases extracted from modules themselves.\n"
_SYMBOL_HEADER = b"# Aliases for symbols, used by symbol_request().\n"
_SOFTDEP_HEADER = b"# Soft dependencies extracted from modules themselves.\n"
_WEAKDEP_HEADER = b"# Weak dependencies extracted from modules themselves.\n"
_DEVNAME_HEADER = b"# Device nodes to trigger on-demand module loading.\n"
_LARGEST_BYTE = 0x7F
_DEVICES = (b"char-major-", b"block-major-")


def name_values(names: Sequence[bytes]) -> list[bytes]:
    """Return what a trie's key holds that leads to one module, for each of them."""
    return [pack_single(pack_value(place, name)) for place, name in enumerate(names)]


def dependency_lines(paths: Sequence[bytes], needs: Sequence[Sequence[int]]) -> list[bytes]:
    """Return the lines of modules.dep, without their ends."""
    after_blank = [b" " + path for path in paths]
    return [
        path + b":" + b"".join([after_blank[module] for module in needed])
        for path, needed in zip(paths, needs, strict=True)
    ]


def dependency_text(lines: Sequence[bytes]) -> bytes:
    """Return modules.dep."""
    return b"".join([line + b"\n" for line in lines])


def dependency_trie(names: Sequence[bytes], lines: Sequence[bytes], report: Report) -> bytes:
    """Return modules.dep.bin."""
    values = [pack_single(pack_value(place, line)) for place, line in enumerate(lines)]
    return sorted_trie(*_merged(_seven_bit(names, report), values, None))


def alias_text(names: Sequence[bytes], aliases: Strings) -> bytes:
    """Return modules.alias."""
    pieces = [_ALIAS_HEADER]
    for name, own in zip(names, aliases, strict=True):
        if own:
            end = b" " + name + b"\n"
            pieces += (b"alias ", own[:-1].replace(b"\0", end + b"alias "), end)
    return b"".join(pieces)


def alias_trie(
    modules: Sequence[bytes], aliases: Strings, report: Report, *, warn: bool = False
) -> bytes:
    """Return modules.alias.bin; with ``warn`` an alias a module has twice is reported.

    ``modules`` are their ``name_values``.
    """
    values: list[bytes] = []
    bracketed = []
    for value, own in zip(modules, aliases, strict=True):
        if own:
            if b"[" in own or b"]" in own:
                bracketed.append((len(values), own))
            values += [value] * own.count(b"\0")
    keys = _normal(b"".join(aliases), bracketed, report)
    return sorted_trie(*_merged(keys, values, report if warn else None))


def _normal(
    joined: bytes, bracketed: Iterable[tuple[int, bytes]], report: Report
) -> list[bytes | None]:
    """Return the keys of aliases: ``-`` made ``_``, ``None`` for what cannot be a key.

    ``bracketed`` are those parts of them, by the number of their first alias, in which there are
    brackets: a ``-`` within a pair of them stays.
    """
    keys: list[bytes | None] = joined.replace(b"-", b"_").split(b"\0")  # type: ignore[assignment]
    keys.pop()
    for first, part in bracketed:
        for place, alias in enumerate(part.split(b"\0"), first):
            if b"[" in alias or b"]" in alias:
                text = alias.decode("latin-1")
                key = normalize_alias(text)
                keys[place] = None if key is None else key.encode("latin-1")
                if key is None:
                    report("WARNING", f"Unmatched bracket in {text}")
    return keys if joined.isascii() else _seven_bit(keys, report)


def _seven_bit(keys: Sequence[bytes | None], report: Report) -> list[bytes | None]:
    """Return ``keys`` with ``None`` for those a trie cannot hold."""
    checked = list(keys)
    for place, key in enumerate(keys):
        if key is not None and not key.isascii():
            bad = next(byte for byte in key if byte > _LARGEST_BYTE)
            report(
                "ERROR",
                f"Module index: bad character '{chr(bad)}'={bad:#x} - only 7-bit ASCII is "
                f"supported:\n{key.decode('utf-8', 'backslashreplace')}",
            )
            checked[place] = None
    return checked


def _merged(
    keys: Sequence[bytes | None], values: Sequence[bytes], report: Report | None
) -> tuple[list[bytes], list[bytes]]:
    """Return the distinct keys, sorted, and what each holds.

    ``values``, one for each of ``keys``, are in the order of their priority; what belongs to no
    key is left out.
    """
    given: Sequence[bytes] = keys  # type: ignore[assignment]
    if None in keys:
        given = [key for key in keys if key is not None]
        values = [value for key, value in zip(keys, values, strict=True) if key is not None]
    order = sorted(range(len(given)), key=given.__getitem__)
    ordered = [given[place] for place in order]
    held = [values[place] for place in order]
    runs = _runs(ordered)
    if report:
        for begin, end in sorted(runs, key=lambda run: order[run[0] + 1]):
            _report_twice(ordered[begin], held[begin:end], report)
    distinct: list[bytes] = []
    merged: list[bytes] = []
    done = 0
    for begin, end in runs:
        distinct += ordered[done : begin + 1]
        merged += held[done:begin]
        merged.append(pack_all(held[begin:end]))
        done = end
    return distinct + ordered[done:], merged + held[done:]


def _runs(ordered: Sequence[bytes]) -> list[tuple[int, int]]:
    """Return where, from and to, the same key stands more than once."""
    runs: list[tuple[int, int]] = []
    for place, (key, after) in enumerate(pairwise(ordered)):
        if key == after:
            if runs and runs[-1][1] == place + 1:
                runs[-1] = (runs[-1][0], place + 2)
            else:
                runs.append((place, place + 2))
    return runs


def _report_twice(key: bytes, values: Sequence[bytes], report: Report) -> None:
    for place, value in enumerate(values):
        if value in values[:place]:
            name = os.fsdecode(value[8:-1])
            report("WARNING", f"duplicate module alias:\n{os.fsdecode(key)} {name}")


def softdep_text(names: Sequence[bytes], softdeps: Strings) -> bytes:
    """Return modules.softdep."""
    return _SOFTDEP_HEADER + _listed(b"softdep", names, softdeps)


def weakdep_text(names: Sequence[bytes], weakdeps: Strings) -> bytes:
    """Return modules.weakdep, which depmod writes since kmod 33."""
    return _WEAKDEP_HEADER + _listed(b"weakdep", names, weakdeps)


def _listed(word: bytes, names: Sequence[bytes], strings: Strings) -> bytes:
    return b"".join(
        [
            b"%b %b %b\n" % (word, name, value)
            for name, own in zip(names, strings, strict=True)
            for value in own.split(b"\0")[:-1]
        ]
    )


def symbol_text(names: Sequence[bytes], symbols: Iterable[bytes], owners: Iterable[int]) -> bytes:
    """Return modules.symbols of ``symbols`` in the order of kmod's hash table.

    ``owners`` say which module exports each; -1 for none.
    """
    endings = [b" " + name + b"\n" for name in names]
    lines = [
        symbol + endings[owner] for symbol, owner in zip(symbols, owners, strict=True) if owner >= 0
    ]
    return b"alias symbol:".join([_SYMBOL_HEADER, *lines])


def symbol_trie(modules: Sequence[bytes], owners: Mapping[bytes, int], report: Report) -> bytes:
    """Return modules.symbols.bin; ``modules`` are their ``name_values``."""
    symbols = sorted(owners)
    if not b"".join(symbols).isascii():
        _seven_bit([b"symbol:" + symbol for symbol in owners], report)
        symbols = [symbol for symbol in symbols if symbol.isascii()]
    values = [modules[owners[symbol]] for symbol in symbols]
    return sorted_trie([b"symbol:" + symbol for symbol in symbols], values)


def builtin_trie(data: bytes, report: Report) -> bytes:
    """Return modules.builtin.bin of modules.builtin's bytes."""
    names = []
    lines = data.split(b"\n")
    for line in [*(line + b"\n" for line in lines[:-1]), *filter(None, lines[-1:])]:
        if line[:1].isalpha():
            names.append(module_name(os.fsdecode(line)).encode("utf-8", "surrogateescape"))
        else:
            report("ERROR", f"Invalid modules.builtin line: {os.fsdecode(line)}")
    keys = _seven_bit(names, report)
    return sorted_trie(*_merged(keys, [pack_single(pack_value(0, b""))] * len(keys), None))


def builtin_alias_trie(data: bytes, report: Report) -> bytes:
    """Return modules.builtin.alias.bin of modules.builtin.modinfo's bytes."""
    pairs = list(_builtin_aliases(data))
    # All have the priority 0, and kmod puts a value before those of the same priority.
    pairs.reverse()
    joined = b"".join([alias + b"\0" for _, alias in pairs])
    keys = _normal(joined, [(0, joined)], report)
    values = [pack_single(pack_value(0, module)) for module, _ in pairs]
    return sorted_trie(*_merged(keys, values, None))


def _builtin_aliases(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield module and alias of each ``module.alias=ALIAS`` that a NUL ends."""
    entries = iter(data.split(b"\0")[:-1])
    for entry in entries:
        module, dot, field = entry.partition(b".")
        if not dot or not module:
            continue
        key, equals, value = field.partition(b"=")
        if not equals:
            next(entries, None)  # kmod looks for this one's end and finds the next one's
        elif key == b"alias" and value:
            yield module, value


def devname_text(names: Sequence[bytes], aliases: Strings, report: Report) -> bytes:
    """Return modules.devname; empty when no module has a device node to create."""
    lines = []
    for name, own in zip(names, aliases, strict=True):
        if own.rfind(b"devname:") < 0:  # quicker than from the front
            continue
        several = own.split(b"\0")
        if any(alias.startswith(b"devname:") for alias in several):
            line = _device_line(name, several)
            if line:
                lines.append(line)
            else:
                node = os.fsdecode(_last_devname(several))
                report(
                    "ERROR",
                    f"Module '{os.fsdecode(name)}' has devname ({node}) but lacks major and "
                    "minor information. Ignoring.",
                )
    return _DEVNAME_HEADER + b"".join(lines) if lines else b""


def _device_line(name: bytes, aliases: Sequence[bytes]) -> bytes:
    """Return a module's line, of the first aliases that say both the name and the number."""
    node = device = None
    for alias in aliases:
        if alias.startswith(b"devname:"):
            node = alias.removeprefix(b"devname:")
        elif alias.startswith(_DEVICES):
            device = _device(alias) or device
        if node is not None and device is not None:
            return b"%b %b %b%d:%d\n" % (name, node, *device)
    return b""


def _device(alias: bytes) -> tuple[bytes, int, int] | None:
    """Return kind, major and minor number, as ``sscanf(alias, "char-major-%u-%u")`` finds them."""
    kind, _, *numbers = alias.split(b"-")
    if len(numbers) == 2 and b"".join(numbers).isdigit():
        return kind[:1], int(numbers[0]) % (1 << 32), int(numbers[1]) % (1 << 32)
    import re  # 3 ms, for what nobody writes

    match = re.match(rb"(char|block)-major-\s*([+-]?\d+)-\s*([+-]?\d+)", alias)
    if not match:
        return None
    return match[1][:1], int(match[2]) % (1 << 32), int(match[3]) % (1 << 32)


def _last_devname(aliases: Iterable[bytes]) -> bytes:
    return [a.removeprefix(b"devname:") for a in aliases if a.startswith(b"devname:")][-1]
