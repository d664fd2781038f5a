"""Types of a kernel or a module, by name: struct offsets, enum values, function prototypes.

Source: ``include/uapi/linux/btf.h``, ``Documentation/bpf/btf.rst``.
"""

from __future__ import annotations

import enum
import functools
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from lkm.errors import FormatError, NotFoundError

MAGIC = 0xEB9F
HEADER = "HBBIIIII"
"""Magic, version, flags, length; then offset and length of the types, and of the strings."""

_DEEPEST = 32


class BtfKind(enum.IntEnum):
    """``BTF_KIND_``: what sort of type an entry describes."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


_COMPOSITE = (BtfKind.STRUCT, BtfKind.UNION)
MODIFIERS = frozenset(
    (BtfKind.TYPEDEF, BtfKind.VOLATILE, BtfKind.CONST, BtfKind.RESTRICT, BtfKind.TYPE_TAG)
)
"""Kinds whose size is that of the type behind them (``kernel/bpf/btf.c: btf_type_is_modifier``)."""

TAIL = {
    BtfKind.INT: (4, 0),
    BtfKind.ARRAY: (12, 0),
    BtfKind.STRUCT: (0, 12),
    BtfKind.UNION: (0, 12),
    BtfKind.ENUM: (0, 8),
    BtfKind.FUNC_PROTO: (0, 8),
    BtfKind.VAR: (4, 0),
    BtfKind.DATASEC: (0, 12),
    BtfKind.DECL_TAG: (4, 0),
    BtfKind.ENUM64: (0, 12),
}
"""Bytes behind the 12 of struct btf_type: a constant, and some for each of its vlen items."""


@dataclass(frozen=True, slots=True)
class Type:
    """One entry: ``size`` in bytes or the id of another type, as ``kind`` has it."""

    id: int
    kind: BtfKind
    name: str
    size_or_type: int
    items: int
    flag: bool


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a struct or union; ``bit_size`` is 0 but for a bit-field."""

    name: str
    type: int
    bit_offset: int
    bit_size: int = 0

    @property
    def offset(self) -> int:
        """The offset in bytes from the start of the struct."""
        return self.bit_offset // 8


@dataclass(frozen=True, slots=True)
class Prototype:
    """A function's parameters, each (name, C type), and the C type of its result."""

    parameters: tuple[tuple[str, str], ...]
    result: str


class Btf:
    """The types in one ``.BTF`` section; a module's continue those of its ``base``."""

    def __init__(
        self,
        data: bytes,
        base: Btf | None = None,
        path: str = "",
        *,
        index: tuple[array[int], array[int]] | None = None,
    ) -> None:
        self._data = data
        self._base = base
        self._path = path
        self._order = ">" if data[:2] == b"\xeb\x9f" else "<"
        types, strings = self._header()
        self.strings = data[strings.start : strings.stop]
        """All names, those of the base not among them."""
        self._first_id = base.count if base else 1
        self._first_string = base._string_end if base else 0
        self._triple = struct.Struct(self._order + "III").unpack_from
        self._positions, self._names = index or self._index(types)

    @property
    def count(self) -> int:
        """One more than the highest type id."""
        return self._first_id + len(self._positions)

    def find(self, name: str, *kinds: BtfKind) -> Type:
        """Return the first type of that name and of one of the kinds (any, when none is given)."""
        for found in self._named(name):
            if not kinds or found.kind in kinds:
                return found
        if self._base is not None:
            return self._base.find(name, *kinds)
        what = "/".join(kind.name.lower() for kind in kinds) or "type"
        raise NotFoundError(f"{self._path or 'the kernel'} has no {what} {name!r} in its BTF")

    def type(self, id_: int) -> Type:
        """Return the type with that id; id 0 is ``void``."""
        if id_ == 0:
            return Type(0, BtfKind.VOID, "void", 0, 0, False)
        if id_ < self._first_id and self._base is not None:
            return self._base.type(id_)
        name, info, size = self._triple(self._data, self._position(id_))
        kind = BtfKind(info >> 24 & 0x1F)
        return Type(id_, kind, self._string(name), size, info & 0xFFFF, bool(info >> 31))

    def has(self, composite: str, member: str = "") -> bool:
        """Return whether there is such a struct or union, and such a member (a path) in it."""
        try:
            if member:
                self.member(composite, member)
            else:
                self.find(composite, *_COMPOSITE)
        except NotFoundError:
            return False
        return True

    def size(self, composite: str) -> int:
        """Return the size in bytes of a struct or union."""
        return self.find(composite, *_COMPOSITE).size_or_type

    def offset(self, composite: str, member: str) -> int:
        """Return the offset in bytes of ``member`` in a struct or union.

        ``member`` may be a path (``mkobj.kobj.name``); members of anonymous structs and unions
        belong to the struct around them, as in C. Raises ``NotFoundError`` naming what is missing.
        """
        return self.member(composite, member).offset

    def member(self, composite: str, member: str) -> Member:
        """Return the member at the end of a path, its offset counted from the outermost struct."""
        type_id, offset, found = self.find(composite, *_COMPOSITE).id, 0, None
        for step, name in enumerate(member.split(".")):
            inside = self.resolve(type_id)
            if inside.kind not in _COMPOSITE or not (found := self.members(inside.id).get(name)):
                place = ".".join([composite, *member.split(".")[:step]])
                raise NotFoundError(f"{self._path or 'the kernel'}: {place} has no member {name!r}")
            offset += found.bit_offset
            type_id = found.type
        assert found is not None
        return Member(found.name, found.type, offset, found.bit_size)

    @functools.lru_cache(maxsize=256)  # noqa: B019 - a Btf lives as long as the kernel it describes
    def members(self, id_: int) -> dict[str, Member]:
        """Return the members of a struct or union by name, in order, anonymous ones flattened."""
        return {member.name: member for member in self._members(id_, 0, 0)}

    def enumerators(self, name: str) -> dict[str, int]:
        """Return the names and values of an enum."""
        found = self.find(name, BtfKind.ENUM, BtfKind.ENUM64)
        owner = self._owner(found.id)
        values = {}
        for at in owner._item_positions(found):
            label, low, high = owner._triple(owner._data, at)
            value, bits = (low, 32) if found.kind is BtfKind.ENUM else (low | high << 32, 64)
            if found.flag and value >> (bits - 1):
                value -= 1 << bits
            values[owner._string(label)] = value
        return values

    def prototype(self, function: str) -> Prototype:
        """Return the parameters and result of a function of the kernel."""
        proto = self.type(self.find(function, BtfKind.FUNC).size_or_type)
        if proto.kind is not BtfKind.FUNC_PROTO:
            raise self._bad("a function prototype", proto.kind.name, proto.id)
        owner = self._owner(proto.id)
        parameters = []
        for at in owner._item_positions(proto):
            name, type_id = struct.unpack_from(self._order + "II", owner._data, at)
            # The last parameter of a variadic function has neither name nor type.
            text = self.spell(type_id) if type_id or name else "..."
            parameters.append((owner._string(name), text))
        return Prototype(tuple(parameters), self.spell(proto.size_or_type))

    def spell(self, id_: int, depth: int = 0) -> str:
        """Return a type as C spells it (``struct module *``), shortened where C takes a page."""
        found = self.type(id_)
        if depth == _DEEPEST:
            return "..."
        if found.kind is BtfKind.PTR:
            inner = self.spell(found.size_or_type, depth + 1)
            return f"{inner}{'' if inner.endswith('*') else ' '}*"
        if found.kind in (BtfKind.CONST, BtfKind.VOLATILE, BtfKind.RESTRICT):
            return f"{found.kind.name.lower()} {self.spell(found.size_or_type, depth + 1)}"
        if found.kind is BtfKind.TYPE_TAG:
            return self.spell(found.size_or_type, depth + 1)
        if found.kind is BtfKind.ARRAY:
            return self.spell(self._array(found)[0], depth + 1) + f" [{self._array(found)[1]}]"
        if found.kind is BtfKind.FUNC_PROTO:
            return f"{self.spell(found.size_or_type, depth + 1)} ()"
        word = {
            BtfKind.STRUCT: "struct",
            BtfKind.UNION: "union",
            BtfKind.FWD: "struct",
            BtfKind.ENUM: "enum",
        }
        prefix = word.get(found.kind, "")
        return f"{prefix} {found.name or '{...}'}".strip()

    def resolve(self, id_: int) -> Type:
        """Return the type behind typedefs, const, volatile, restrict and type tags."""
        for _ in range(_DEEPEST):
            found = self.type(id_)
            if found.kind not in MODIFIERS:
                return found
            id_ = found.size_or_type
        raise self._bad("a type", f"a chain of more than {_DEEPEST} aliases", id_)

    def to_bytes(self) -> bytes:
        """Return the section and its index as bytes that ``from_bytes`` reads."""
        count = len(self._positions).to_bytes(8, "little")
        return count + self._positions.tobytes() + self._names.tobytes() + self._data

    @classmethod
    def from_bytes(cls, data: bytes) -> Btf:
        """Read what ``to_bytes`` wrote, without the pass over all types."""
        size = 4 * int.from_bytes(data[:8], "little")
        positions, names = (array("I", data[at : at + size]) for at in (8, 8 + size))
        return cls(data[8 + 2 * size :], index=(positions, names))

    def _header(self) -> tuple[range, range]:
        if len(self._data) < 24:
            raise FormatError("a BTF header of 24 bytes", f"{len(self._data)}", path=self._path)
        magic, version, _, length, types, types_size, strings, strings_size = struct.unpack_from(
            self._order + HEADER, self._data
        )
        if magic != MAGIC or version != 1:
            raise FormatError(
                "BTF magic 0xeb9f, version 1", f"{magic:#x}, version {version}", path=self._path
            )
        spans = (
            range(length + types, length + types + types_size),
            range(length + strings, length + strings + strings_size),
        )
        for span in spans:
            if span.stop > len(self._data):
                raise FormatError(
                    f"{len(span)} bytes of BTF",
                    f"{max(len(self._data) - span.start, 0)}",
                    path=self._path,
                    offset=span.start,
                )
        return spans

    def _index(self, types: range) -> tuple[array[int], array[int]]:
        """Return where each type is and the offset of its name: one pass over all of them."""
        tails = [(12 + head, each) for head, each in (TAIL.get(kind, (0, 0)) for kind in BtfKind)]
        unpack = struct.Struct(self._order + "II").unpack_from
        positions, names = [], []
        data, at, end = self._data, types.start, types.stop
        try:
            while at < end:
                name, info = unpack(data, at)
                positions.append(at)
                names.append(name)
                head, each = tails[info >> 24 & 0x1F]
                at += head + each * (info & 0xFFFF)
        except (IndexError, struct.error):
            raise FormatError(
                "a BTF kind of 1 to 19", "another", path=self._path, offset=at
            ) from None
        if at != end:
            raise FormatError("whole BTF types", "a cut one", path=self._path, offset=end)
        return array("I", positions), array("I", names)

    def _named(self, name: str) -> Iterator[Type]:
        start = self.strings.find(b"\0" + name.encode() + b"\0") + 1
        if not start or not name:
            return
        wanted, index = start + self._first_string, -1
        while True:
            try:
                index = self._names.index(wanted, index + 1)
            except ValueError:
                return
            yield self.type(self._first_id + index)

    def _members(self, id_: int, base: int, depth: int) -> Iterator[Member]:
        if depth == _DEEPEST:
            raise self._bad("a struct", "structs nested without end", id_)
        found = self.type(id_)
        if found.kind not in _COMPOSITE:
            raise self._bad("a struct or union", found.kind.name, id_)
        owner = self._owner(id_)
        for at in owner._item_positions(found):
            name, type_id, where = owner._triple(owner._data, at)
            offset, size = (where & 0xFFFFFF, where >> 24) if found.flag else (where, 0)
            text = owner._string(name)
            if text:
                yield Member(text, type_id, base + offset, size)
            elif self.resolve(type_id).kind in _COMPOSITE:
                yield from self._members(self.resolve(type_id).id, base + offset, depth + 1)

    def _item_positions(self, found: Type) -> range:
        step = TAIL[found.kind][1]
        start = self._position(found.id) + 12
        return range(start, start + step * found.items, step)

    def _array(self, found: Type) -> tuple[int, int]:
        owner = self._owner(found.id)
        element, _, count = owner._triple(owner._data, owner._position(found.id) + 12)
        return element, count

    def _owner(self, id_: int) -> Btf:
        return self._base._owner(id_) if self._base and id_ < self._first_id else self

    def _position(self, id_: int) -> int:
        index = id_ - self._first_id
        if not 0 <= index < len(self._positions):
            raise self._bad(f"a type id below {self.count}", str(id_), None)
        return self._positions[index]

    @property
    def _string_end(self) -> int:
        return self._first_string + len(self.strings)

    def _string(self, offset: int) -> str:
        if offset < self._first_string and self._base is not None:
            return self._base._string(offset)
        start = offset - self._first_string
        end = self.strings.find(b"\0", start)
        if start >= len(self.strings) or end < 0:
            raise self._bad("the offset of a string", f"{offset:#x}", None)
        return self.strings[start:end].decode("utf-8", "replace")

    def _bad(self, expected: str, found: str, id_: int | None) -> FormatError:
        where = f"type {id_} is {found}" if id_ is not None else found
        return FormatError(expected, where, path=self._path or "BTF")
