"""All symbols of a kernel image, from the compressed table that kallsyms keeps in it.

Source: ``scripts/kallsyms.c: write_src`` (what is written, in which order),
``kernel/kallsyms.c: kallsyms_expand_symbol`` and ``kallsyms_sym_address`` (how it is read).

The tables have no header and no symbol of their own in a stripped image. They are found by what
they must be: the token table by its single-digit tokens and by the token index that follows it
and repeats its string lengths; the names by the markers, which repeat every 256th name's offset.
Orders since 4.6: ``offsets relative_base num_syms names markers [seqs] token_table token_index``,
and from 6.4 ``num_syms names markers token_table token_index offsets relative_base seqs``; later
(seen in 7.3) the base is gone, and each offset counts from where it is itself.
"""

from __future__ import annotations

import itertools
import re
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from lkm.errors import FormatError, NotFoundError
from lkm.vmlinux.executable import Executable
from lkm.vmlinux.symbols import Symbols

_DIGITS = re.compile(rb"\x000\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00")
_TOKENS = 256
_MARKED = 256  # every how manieth name has a marker
_LONGEST_NAME = 2 * 1024
_MOST_SYMBOLS = 1 << 20  # a debug kernel has some 400,000
_MOST_TABLES = 4  # things that look like a token table; a kernel has one


@dataclass(frozen=True, slots=True)
class _Tables:
    """Where the tables are in ``data``: offsets in bytes; ``tokens`` are the 256 strings."""

    tokens: tuple[bytes, ...]
    token_table: int
    after_index: int


@dataclass(frozen=True, slots=True)
class _Names:
    count: int
    count_at: int
    start: int


def read(kernel: Executable) -> Symbols:
    """Return all symbols of ``kernel``.

    Raises ``NotFoundError`` when the kernel has no kallsyms, ``FormatError`` when its tables
    contradict each other.
    """
    tables = kernel.content(".rodata")
    if tables:
        address = kernel.sections[".rodata"].address
        return read_tables(tables, kernel.byte_order, kernel.path, address)
    return read_tables(kernel.data, kernel.byte_order, kernel.path)


def read_tables(data: bytes, byte_order: str = "<", path: str = "", address: int = 0) -> Symbols:
    """Return the symbols from the tables that are somewhere in ``data``, loaded at ``address``."""
    order = _ByteOrder(byte_order)
    for tables in itertools.islice(_token_tables(data, order), _MOST_TABLES):
        names = _find_names(data, tables, order)
        if names is not None:
            found = _addresses(data, tables, names, order, address)
            if found is None:
                raise FormatError(
                    f"{names.count} ascending symbol addresses", "none", path=path,
                    offset=names.count_at,
                )  # fmt: skip
            return _decode(data, tables, names, found)
    raise NotFoundError(
        f"{path or 'the kernel'} has no readable symbol table",
        hint="the kernel must be built with CONFIG_KALLSYMS",
    )


class _ByteOrder:
    def __init__(self, order: str) -> None:
        self.half = struct.Struct(order + "H")
        self.word = struct.Struct(order + "I")
        self.long = struct.Struct(order + "Q")
        self.swapped = (order == ">") == (array("H", b"\1\0")[0] == 1)

    def numbers(self, code: str, data: bytes) -> array[int]:
        numbers: array[int] = array(code, data)
        if self.swapped:
            numbers.byteswap()
        return numbers


def _token_tables(data: bytes, order: _ByteOrder) -> Iterator[_Tables]:
    """Yield each run of 256 strings that is followed by the index of where they begin."""
    for match in _DIGITS.finditer(data):
        start = match.start() + 1
        for _ in range(ord("0")):
            start = data.rfind(b"\0", max(start - _LONGEST_NAME, 0), start - 1) + 1
            if not start:
                break
        raw = data[start : start + _TOKENS * 64].split(b"\0", _TOKENS)
        if len(raw) <= _TOKENS:
            continue
        tokens = tuple(raw[:_TOKENS])
        expected, position = [], 0
        for token in tokens:
            expected.append(position & 0xFFFF)
            position += len(token) + 1
        index = b"".join(order.half.pack(at) for at in expected)
        found = data.find(index, start + position, start + position + 64 + len(index))
        if found >= 0:
            yield _Tables(tokens, start, found + len(index))


def _find_names(data: bytes, tables: _Tables, order: _ByteOrder) -> _Names | None:
    for markers, count in _marker_tables(data, tables.token_table, order):
        found = _names_before(data, markers, count, order)
        if found is not None:
            return found
    return None


def _marker_tables(data: bytes, end: int, order: _ByteOrder) -> Iterator[tuple[int, int]]:
    """Yield where a table of markers may begin, and how many it has.

    It ends where the token table begins, or (6.2 and 6.3) where the 3-byte sequence numbers of
    the symbols begin, which lie between the two.
    """
    start = _markers_ending_at(data, end, order)
    if start is not None:
        yield start
    for seqs in range(end & ~7, max(end - 3 * _MOST_SYMBOLS, 0), -8):
        count = -(-((end - seqs) // 3) // _MARKED)
        markers = seqs - (4 * count + 7 & ~7)
        if markers > 0 and _is_marker_table(data, markers, count, order):
            yield markers, count


def _markers_ending_at(data: bytes, end: int, order: _ByteOrder) -> tuple[int, int] | None:
    start = end & ~3
    while start >= 4 and data[start - 4 : start] == b"\0\0\0\0":
        start -= 4  # padding up to the alignment of the token table
    last, stop = 1 << 32, start
    while start >= 4:
        (marker,) = order.word.unpack_from(data, start - 4)
        if marker >= last:
            return None
        start, last = start - 4, marker
        if not marker:
            return start, (stop - start) // 4
    return None


def _is_marker_table(data: bytes, start: int, count: int, order: _ByteOrder) -> bool:
    if count < 2 or order.word.unpack_from(data, start)[0]:
        return False
    markers = order.numbers("I", data[start : start + 4 * count])
    return all(0 < b - a <= _MARKED * _LONGEST_NAME for a, b in itertools.pairwise(markers))


def _names_before(data: bytes, markers: int, count: int, order: _ByteOrder) -> _Names | None:
    """Find the number of symbols and the names, knowing where the names' markers are."""
    (last,) = order.word.unpack_from(data, markers + 4 * (count - 1))
    wanted = range(_MARKED * (count - 1) + 1, _MARKED * count + 1)
    low = max(markers - last - _MARKED * _LONGEST_NAME, 0)
    for at in range((markers - last) & ~3, low, -4):
        (number,) = order.word.unpack_from(data, at)
        if number not in wanted:
            continue
        for start in (at + 8, at + 4):
            if _names_fit(data, start, markers, number, order):
                return _Names(number, at, start)
    return None


def _names_fit(data: bytes, start: int, markers: int, number: int, order: _ByteOrder) -> bool:
    """Return whether ``number`` names from ``start`` agree with their markers and end there."""
    position = start
    for index in range(number):
        if position >= markers:
            return False
        if index % _MARKED == 0:
            (marker,) = order.word.unpack_from(data, markers + index // _MARKED * 4)
            if position - start != marker:
                return False
        length = data[position]
        if length & 0x80:
            length = (length & 0x7F) + (data[position + 1] << 7) + 1
        position += length + 1
    return 0 <= markers - position < 8


def _decode(data: bytes, tables: _Tables, names: _Names, addresses: array[int]) -> Symbols:
    tokens = [token.decode("latin-1") for token in tables.tokens]
    expand = tokens.__getitem__
    position, text = names.start, []
    for _ in range(names.count):
        length = data[position]
        position += 1
        if length & 0x80:
            length = (length & 0x7F) + (data[position] << 7)
            position += 1
        text.append("".join(map(expand, data[position : position + length])))
        position += length
    types = "".join([name[:1] or "?" for name in text])
    return Symbols(addresses, types, [name[1:] for name in text])


def _addresses(
    data: bytes, tables: _Tables, names: _Names, order: _ByteOrder, address: int
) -> array[int] | None:
    """Return the addresses, or ``None`` where no table of offsets makes ascending ones."""
    size = 4 * names.count
    padded = size + 7 & ~7
    for offsets in (tables.after_index + 7 & ~7, names.count_at - 8 - padded):
        base_at = offsets + padded
        if offsets < 0 or base_at + 8 > len(data):
            continue
        (base,) = order.long.unpack_from(data, base_at)
        found = _from_offsets(order.numbers("i", data[offsets : offsets + size]), base)
        if found is not None:
            return found
    start = tables.after_index + 3 & ~3
    if start + size > len(data):
        return None
    places = range(address + start, address + start + size, 4)
    return _from_places(order.numbers("i", data[start : start + size]), places)


def _from_places(offsets: array[int], places: range) -> array[int] | None:
    """Return the addresses that are ``offsets`` from ``places``, if they ascend."""
    values = [place + offset for place, offset in zip(places, offsets, strict=True)]
    if values[0] < 0 or values[-1] >> 64 or any(a > b for a, b in itertools.pairwise(values)):
        return None
    return array("Q", values)


def _from_offsets(offsets: array[int], base: int) -> array[int] | None:
    """Return the addresses, or ``None`` when these are no offsets of kallsyms.

    With ``KALLSYMS_ABSOLUTE_PERCPU`` a negative offset counts from the base and one that is not is
    an address in the per-CPU area; without, all count from the base, unsigned.
    """
    if not base:
        return None
    mask = (1 << 64) - 1
    if any(offset < 0 for offset in offsets):
        values = [offset if offset >= 0 else base - 1 - offset for offset in offsets]
    else:
        values = [base + offset for offset in offsets]
    if values[-1] > mask or any(a > b for a, b in itertools.pairwise(values)):
        return None
    return array("Q", values)
