"""Module parameters: from ``.modinfo``, and from the ``__param`` table.

Sources: ``include/linux/moduleparam.h`` (``struct kernel_param``, ``kparam_string``,
``kparam_array``), ``kernel/params.c``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lkm.elf.file import ElfFile
from lkm.module.modinfo import ModInfo
from lkm.module.pointers import PointerPlace, PointerPlaces

_WRITABLE = 0o222
_ARRAY = "array of "
# struct kernel_param since v4.2: name, mod, ops, perm, level, flags, arg
_RECORDS = {64: (40, 16, 24, 32), 32: (20, 8, 12, 16)}  # size; offsets of ops, perm, arg
_NUMBERS = {
    "byte": "B",
    "short": "h",
    "ushort": "H",
    "int": "i",
    "uint": "I",
    "hexint": "I",
    "ullong": "Q",
    "bool": "?",
    "invbool": "?",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; fields that the file does not give are ``None``.

    ``type`` is MODULE_PARM's word (``int``, ``charp``, ``array of bool``), ``permission`` the mode
    of its file in /sys/module (0: it has none), ``limit`` the most elements of an array or bytes
    of a string (the final NUL included), ``operations`` the ``kernel_param_ops`` in charge of it,
    ``default`` its value before any is given, as /sys/module would show it.
    """

    name: str
    type: str | None = None
    description: str | None = None
    permission: int | None = None
    operations: str | None = None
    limit: int | None = None
    default: str | None = None

    @property
    def is_array(self) -> bool:
        """Whether it takes several values with commas between."""
        return (self.type or "").startswith(_ARRAY)

    @property
    def writable(self) -> bool | None:
        """Whether it can be changed while the module is loaded; ``None`` where not known."""
        return None if self.permission is None else bool(self.permission & _WRITABLE)


@dataclass(frozen=True, slots=True)
class _Record:
    """One ``struct kernel_param``."""

    permission: int
    operations: str | None
    limit: int | None
    default: str | None


def parameters(elf: ElfFile, fields: ModInfo) -> tuple[Parameter, ...]:
    """Return the parameters in the order kmod shows them, which is that of the source.

    Raises ``FormatError`` when ``__param`` points outside the file.
    """
    descriptions = _split(fields.all("parm"))
    types = _split(fields.all("parmtype"))
    records = _records(elf, types)
    mentioned = [v.partition(":")[0] for k, v in fields.fields if k in ("parm", "parmtype")]
    names = [*reversed(dict.fromkeys(mentioned)), *(n for n in records if n not in mentioned)]
    return tuple(_parameter(n, types.get(n), descriptions.get(n), records.get(n)) for n in names)


def _parameter(
    name: str, kind: str | None, description: str | None, record: _Record | None
) -> Parameter:
    if record is None:
        return Parameter(name, kind, description)
    return Parameter(
        name,
        kind,
        description,
        record.permission,
        record.operations,
        record.limit,
        record.default,
    )


def _split(values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition(":") for value in values]
    return {name: text for name, colon, text in pairs if colon}


def _records(elf: ElfFile, types: dict[str, str]) -> dict[str, _Record]:
    section = elf.section("__param")
    if section is None or not section.size:
        return {}
    size, operations, permission, argument = _RECORDS[elf.header.bits]
    if section.size % size:  # a layout of another time
        return {}
    data = elf.data(section)
    places = PointerPlaces(elf)
    records = {}
    for start in range(0, len(data), size):
        name = places.text_at(places.target(section, start))
        if name is None:
            continue
        (mode,) = struct.unpack_from(elf.byte_order + "H", data, start + permission)
        kind = types.get(name)
        where = places.target(section, start + argument)
        records[name] = _Record(
            mode,
            places.name_of(places.target(section, start + operations)),
            _limit(elf, places, kind, where),
            _default(elf, places, kind, where),
        )
    return records


def _limit(
    elf: ElfFile, places: PointerPlaces, kind: str | None, where: PointerPlace | None
) -> int | None:
    """Return the first member of ``struct kparam_array`` and ``kparam_string``."""
    if kind is None or not (kind == "string" or kind.startswith(_ARRAY)):
        return None
    data = places.bytes_at(where, 4)
    return int(struct.unpack(elf.byte_order + "I", data)[0]) if data else None


def _default(
    elf: ElfFile, places: PointerPlaces, kind: str | None, where: PointerPlace | None
) -> str | None:
    if kind is None or where is None:
        return None
    if kind == "charp":
        return places.text_at(places.target_of(where))
    if kind == "string":
        # After maxlen comes, aligned, the pointer to the buffer.
        word = elf.header.bits // 8
        return places.text_at(places.target_of(PointerPlace(where.section, where.offset + word)))
    letter = {"long": "q", "ulong": "Q"}.get(kind) if elf.header.bits == 64 else None
    form = letter or _NUMBERS.get(kind)
    if form is None:
        return None
    data = places.bytes_at(where, struct.calcsize("=" + form))
    if not data:
        return None
    return _shown(kind, struct.unpack(elf.byte_order + form, data)[0])


def _shown(kind: str, value: int) -> str:
    if kind in {"bool", "invbool"}:
        return "Y" if bool(value) != (kind == "invbool") else "N"
    return f"{value:#08x}" if kind == "hexint" else str(value)
