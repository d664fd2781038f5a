"""Whether a module's types continue those of a kernel, as the kernel looks at it when loading.

A module's ``.BTF`` counts types and names on from those of the vmlinux it was made against. With
another vmlinux its numbers mean something else, which shows where a name is none or a type does
not exist. Source: ``kernel/bpf/btf.c: btf_parse_module``, of which this has the header and what
depends on the vmlinux.
"""

from __future__ import annotations

import functools
import re
import string
import struct
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from errno import EINVAL, ELOOP

from lkm.vmlinux.btf import HEADER, MAGIC, MODIFIERS, TAIL, Btf, BtfKind

_LONGEST_CHAIN = 32
_LETTERS = (string.ascii_letters + "_.").encode()
_LETTERS_AND_ENDS = _LETTERS + string.digits.encode() + b"\0"
_CAN_BEGIN = bytes(code in _LETTERS for code in range(256))
_NO_LETTERS = re.compile(rb"[^\w.\0]+", re.ASCII)
_TYPEDEF = int(BtfKind.TYPEDEF)

# What to do with a type (btf_*_check_meta): its name may be any, must be an identifier, so must be
# those of its items, or it stands for the type it modifies. The rest have no name.
_TEXT, _IDENTIFIER, _ITEMS, _MODIFIER = 1, 2, 3, 4
_RULES = {
    BtfKind.INT: _TEXT, BtfKind.FLOAT: _TEXT, BtfKind.DATASEC: _TEXT, BtfKind.DECL_TAG: _TEXT,
    BtfKind.FWD: _IDENTIFIER, BtfKind.FUNC: _IDENTIFIER, BtfKind.VAR: _IDENTIFIER,
    BtfKind.STRUCT: _ITEMS, BtfKind.UNION: _ITEMS, BtfKind.ENUM: _ITEMS, BtfKind.ENUM64: _ITEMS,
    **dict.fromkeys(MODIFIERS, _MODIFIER),
}  # fmt: skip
_SHAPES: list[tuple[int, ...]] = [
    (_RULES.get(kind, 0), 3 + head // 4, each // 4)
    for kind, (head, each) in ((kind, TAIL.get(kind, (0, 0))) for kind in BtfKind)
]
_SHAPES[BtfKind.VOID] = ()
"""By kind: its rule, and in words of 4 bytes the size of an entry and of each of its items."""


@dataclass(frozen=True, slots=True)
class Base:
    """The kernel types that a module's types continue; ``count`` is the highest type id plus one.

    ``names`` has a byte for each byte of the kernel's strings: 1 where a C identifier can begin,
    and at offset 0, which stands for no name.
    """

    count: int
    names: bytes


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why the kernel does not take a module's types: what is wrong, and the errno it finds."""

    what: str
    errno: int = EINVAL


@dataclass(frozen=True, slots=True)
class _Own:
    """The types a module adds: their number, and the names and types that they refer to.

    ``identifiers`` are offsets of names that must be one, ``texts`` of any other; ``modifiers``
    have by number their kind and the id of what they modify; ``names`` as in ``Base``.
    """

    count: int
    identifiers: Sequence[int]
    texts: Sequence[int]
    modifiers: Mapping[int, tuple[int, int]]
    names: bytes


def base_of(btf: Btf) -> Base:
    """Return what the kernel with the types ``btf`` holds a module's against."""
    return Base(btf.count, b"\1" + _names(btf.strings)[1:])


def misfit(data: bytes, base: Base) -> Misfit | None:
    """Return why the section ``.BTF`` of a module does not continue ``base``, or ``None``."""
    own = _own(data)
    if isinstance(own, Misfit):
        return own
    return _bad_name(own, base) or _bad_reference(own, base.count)


def _names(strings: bytes) -> bytes:
    """Return a byte for each byte of ``strings``: 1 where a C identifier can begin."""
    found = bytearray(strings.translate(_CAN_BEGIN))
    if not strings.translate(None, _LETTERS_AND_ENDS):
        return bytes(found)
    for match in _NO_LETTERS.finditer(strings):
        start = strings.rfind(b"\0", 0, match.start()) + 1
        found[start : match.end()] = bytes(match.end() - start)
    return bytes(found)


@functools.lru_cache(maxsize=1)  # the same module is asked about for many kernels
def _own(data: bytes) -> _Own | Misfit:
    order = ">" if data[:2] == b"\xeb\x9f" else "<"
    if len(data) < struct.calcsize(order + HEADER):
        return Misfit("it is shorter than its header")
    fields = struct.unpack_from(order + HEADER, data)
    magic, version, _, start, types, size, strings, length = fields
    if magic != MAGIC or version != 1:
        return Misfit("its header is not that of BTF")
    if start + strings + length != len(data) or (length and data[-1]):
        return Misfit("its strings are not at its end")
    if size % 4 or start + types + size > len(data):
        return Misfit("its types are cut short")
    words = array("I", data[start + types : start + types + size])
    if (order == "<") != (sys.byteorder == "little"):
        words.byteswap()
    try:
        return _read(words.tolist(), _names(data[start + strings :]))
    except (IndexError, ValueError):
        return Misfit("a type in it is cut short or of an unknown kind")


def _read(words: list[int], names: bytes) -> _Own:
    """Walk over the types; raises for one that breaks off or is of a kind there is not.

    There are a million in a kernel's modules, so each costs as little as can be.
    """
    shapes = _SHAPES
    identifiers: list[int] = []
    texts: list[int] = []
    modifiers: dict[int, tuple[int, int]] = {}
    at, count, end = 0, 0, len(words)
    while at < end:
        info = words[at + 1]
        kind = info >> 24 & 31
        rule, size, item_size = shapes[kind]
        after = at + size + item_size * (info & 0xFFFF)
        if rule == _ITEMS:
            identifiers += words[at + 3 : after : item_size]
            identifiers.append(words[at])
        elif rule == _IDENTIFIER:
            identifiers.append(words[at])
        elif rule == _MODIFIER:
            modifiers[count] = (kind, words[at + 2])
            (identifiers if kind == _TYPEDEF else texts).append(words[at])
        elif rule == _TEXT:
            texts.append(words[at])
        at = after
        count += 1
    if at != end:
        raise IndexError
    return _Own(count, identifiers, texts, modifiers, names)


def _bad_name(own: _Own, base: Base) -> Misfit | None:
    first, known, added = len(base.names), base.names, own.names
    end = first + len(added)
    try:
        for name in own.identifiers:
            if not (known[name] if name < first else added[name - first]):
                return Misfit(f"at {name:#x} there is no name")
    except IndexError:
        return Misfit(f"there are names up to {end:#x} only")
    beyond = next((name for name in own.texts if name >= end), None)
    return None if beyond is None else Misfit(f"there are names up to {end:#x} only")


def _bad_reference(own: _Own, first: int) -> Misfit | None:
    """Follow each modifier to a type that was followed before (``btf_check_type_tags``)."""
    modifiers, end, good = own.modifiers, first + own.count, first - 1
    for number, (outermost, _) in modifiers.items():
        at = first + number
        in_tags, steps = outermost == BtfKind.TYPE_TAG, 0
        while (found := modifiers.get(at - first)) is not None:
            kind, target = found
            if steps == _LONGEST_CHAIN:
                return Misfit(f"type {first + number} leads nowhere", ELOOP)
            if kind == BtfKind.TYPE_TAG and not in_tags:
                return Misfit(f"type {first + number} has a tag where none can be")
            in_tags = in_tags and kind == BtfKind.TYPE_TAG
            if at <= good:
                break
            at, steps = target, steps + 1
            if at >= end:
                return Misfit(f"there are types up to {end} only")
        good = first + number
    return None
