"""Small kernel images of our own making: boot images, ELF files, kallsyms tables, BTF."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

BASE = 0xFFFFFFFF81000000

TOKENS = [bytes([n]) if chr(n).isprintable() and n < 0x7F else b"" for n in range(256)]
# What scripts/kallsyms.c does: byte values that no symbol uses stand for frequent strings.
TOKENS[1:4] = [b"alloc", b"Tdo_", b"_symbol"]


def encode_name(text: str, long: bool = False) -> bytes:
    """Compress ``T`` plus a name with the tokens above, as one entry of kallsyms_names."""
    packed = text.encode()
    for number in (1, 2, 3):
        packed = packed.replace(TOKENS[number], bytes([number]))
    if len(packed) > 127 or long:
        return bytes([len(packed) & 0x7F | 0x80, len(packed) >> 7]) + packed
    return bytes([len(packed)]) + packed


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


@dataclass(frozen=True)
class KallsymsTables:
    """The tables of ``symbols``, each (address, letter + name), ascending."""

    symbols: Sequence[tuple[int, str]]
    layout: str = "6.1"  # 4.6 to 6.1, 6.2 to 6.3, 6.4 on, 7.3
    absolute_percpu: bool = True
    order: str = "<"
    address: int = 0
    """Where the tables are in memory, which the layout of 7.3 depends on."""

    def to_bytes(self) -> bytes:
        count = _pad(struct.pack(self.order + "I", len(self.symbols)))
        entries = [encode_name(text) for _, text in self.symbols]
        names, markers = _pad(b"".join(entries)), []
        position = 0
        for index, entry in enumerate(entries):
            if index % 256 == 0:
                markers.append(position)
            position += len(entry)
        marked = _pad(struct.pack(f"{self.order}{len(markers)}I", *markers))
        seqs = _pad(bytes(3 * len(self.symbols)))
        table = _pad(b"".join(token + b"\0" for token in TOKENS))
        starts = [sum(len(t) + 1 for t in TOKENS[:n]) for n in range(256)]
        index_ = struct.pack(f"{self.order}256H", *starts)
        if self.layout == "7.3":
            before = count + names + marked + table + index_
            return before + self._from_places(self.address + len(before)) + seqs
        places = self._offsets()
        if self.layout == "6.1":
            return places + count + names + marked + table + index_
        if self.layout == "6.2":
            return places + count + names + marked + seqs + table + index_
        return count + names + marked + table + index_ + places + seqs

    def _from_places(self, start: int) -> bytes:
        values = [address - start - 4 * n for n, (address, _) in enumerate(self.symbols)]
        return struct.pack(f"{self.order}{len(values)}i", *values)

    def _offsets(self) -> bytes:
        values = [self._offset(address) for address, _ in self.symbols]
        code = "i" if self.absolute_percpu else "I"
        packed = _pad(struct.pack(f"{self.order}{len(values)}{code}", *values))
        return packed + struct.pack(self.order + "Q", BASE)

    def _offset(self, address: int) -> int:
        if not self.absolute_percpu:
            return address - BASE
        return address if address < BASE else BASE - 1 - address


def elf(sections: dict[str, tuple[int, bytes]], *, machine: int = 62, notes: bytes = b"") -> bytes:
    """Return an executable ELF64 file of sections, each at an address."""
    everything = dict(sections)
    if notes:
        everything[".notes"] = (BASE + 0x3000000, notes)
    names = b"\0" + b"".join(name.encode() + b"\0" for name in everything) + b".shstrtab\0"
    body = bytearray(bytes(64 + 56 * len(everything)))
    headers, segments = [bytes(64)], []
    for name, (address, content) in everything.items():
        body += bytes(-len(body) % 16)
        at = names.index(b"\0" + name.encode() + b"\0") + 1
        headers.append(
            struct.pack("<IIQQQQIIQQ", at, 1, 2, address, len(body), len(content), 0, 0, 16, 0)
        )
        segments.append(
            struct.pack("<IIQQQQQQ", 1, 5, len(body), address, 0, len(content), len(content), 4096)
        )
        body += content
    at = names.index(b".shstrtab\0")
    headers.append(struct.pack("<IIQQQQIIQQ", at, 3, 0, 0, len(body), len(names), 0, 0, 1, 0))
    body += names
    body[64 : 64 + 56 * len(segments)] = b"".join(segments)
    body[:64] = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack(
            "<HHIQQQIHHHHHH",
            *(2, machine, 1, BASE, 64, len(body), 0, 64, 56, len(segments), 64, len(headers)),
            len(headers) - 1,
        )
    )
    return bytes(body) + b"".join(headers)


def note(owner: str, kind: int, content: bytes) -> bytes:
    """Return one ELF note."""
    name = owner.encode() + b"\0"
    return (
        struct.pack("<III", len(name), len(content), kind)
        + name
        + bytes(-len(name) % 4)
        + content
        + bytes(-len(content) % 4)
    )


def bzimage(payload: bytes, release: str = "6.1.0-test") -> bytes:
    """Return an x86 boot image around a compressed kernel."""
    head = bytearray(5 * 512)
    head[0x1F1] = 4
    head[0x202:0x206] = b"HdrS"
    banner = 0x400
    head[banner + 0x200 : banner + 0x200 + len(release) + 3] = release.encode() + b" (x"
    struct.pack_into("<H", head, 0x206, 0x20F)
    struct.pack_into("<H", head, 0x20E, banner)
    struct.pack_into("<II", head, 0x248, 16, len(payload))
    return bytes(head) + bytes(16) + payload + b"trailing code"


def lz4_legacy(data: bytes, compress: Callable[[bytes], bytes]) -> bytes:
    """Return ``data`` in blocks as ``lz4 -l`` writes them."""
    out = b"\x02\x21\x4c\x18"
    for start in range(0, len(data), 8 << 20):
        block = compress(data[start : start + (8 << 20)])
        out += struct.pack("<I", len(block)) + block
    return out


class BtfWriter:
    """Collects types; each method returns the id of the one it added."""

    def __init__(self, *, order: str = "<", first_id: int = 1, strings_before: int = 0) -> None:
        self.order = order
        self._strings = b"\0" if not strings_before else b""
        self._strings_before = strings_before
        self._types: list[bytes] = []
        self._first_id = first_id

    def string(self, text: str) -> int:
        if not text:
            return 0
        at = len(self._strings)
        self._strings += text.encode() + b"\0"
        return at + self._strings_before

    def add(  # noqa: PLR0917 - as the fields of struct btf_type follow each other
        self,
        kind: int,
        name: str = "",
        size: int = 0,
        tail: bytes = b"",
        items: int = 0,
        flag: int = 0,
    ) -> int:
        info = flag << 31 | kind << 24 | items
        head = struct.pack(self.order + "III", self.string(name), info, size)
        self._types.append(head + tail)
        return self._first_id + len(self._types) - 1

    def integer(self, name: str, size: int = 4) -> int:
        return self.add(1, name, size, struct.pack(self.order + "I", size * 8))

    def composite(
        self,
        name: str,
        size: int,
        members: Sequence[tuple[str, int, int]],
        kind: int = 4,
        flag: int = 0,
    ) -> int:
        """Members are (name, type id, bit offset)."""
        tail = b"".join(
            struct.pack(self.order + "III", self.string(member), type_, offset)
            for member, type_, offset in members
        )
        return self.add(kind, name, size, tail, len(members), flag)

    def to_bytes(self) -> bytes:
        types = b"".join(self._types)
        header = struct.pack(
            self.order + "HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(self._strings)
        )
        return header + types + self._strings
