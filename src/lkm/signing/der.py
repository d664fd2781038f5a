"""A strict reader and a writer of DER, as far as PKCS#7 and X.509 need them.

Source of the encoding: ITU-T X.690. Only definite, minimal lengths of at most four octets and
one-octet tags are read; every element must lie inside its parent.
"""

from __future__ import annotations

from lkm.errors import FormatError

INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OID = 0x06
SEQUENCE = 0x30
SET = 0x31

_NAMES = {
    INTEGER: "INTEGER",
    BIT_STRING: "BIT STRING",
    OCTET_STRING: "OCTET STRING",
    NULL: "NULL",
    OID: "OBJECT IDENTIFIER",
    SEQUENCE: "SEQUENCE",
    SET: "SET",
}


def context(number: int, *, constructed: bool = True) -> int:
    """Return the tag of the context-specific field ``[number]``."""
    return 0xA0 | number if constructed else 0x80 | number


def tag_name(tag: int) -> str:
    """Return the name of ``tag`` for a message."""
    if tag & 0xC0 == 0x80:
        return f"[{tag & 0x1F}]"
    return _NAMES.get(tag, f"tag {tag:#04x}")


class Reader:
    """A cursor over the elements of one constructed DER value.

    ``what`` in its methods names the field for the ``FormatError`` that a missing, damaged or
    overlong element raises.
    """

    __slots__ = ("_data", "_end", "_path", "_position")

    def __init__(
        self, data: bytes, path: str = "", *, start: int = 0, end: int | None = None
    ) -> None:
        self._data = data
        self._path = path
        self._position = start
        self._end = len(data) if end is None else end

    @property
    def position(self) -> int:
        """Offset of the next element in the whole data."""
        return self._position

    @property
    def at_end(self) -> bool:
        """Whether no element is left."""
        return self._position >= self._end

    def peek(self) -> int:
        """Return the next element's tag, -1 at the end."""
        return -1 if self.at_end else self._data[self._position]

    def bytes_of(self, tag: int, what: str) -> bytes:
        """Return the content of the next element, whose tag must be ``tag``, and pass it."""
        start, end = self._pass(tag, what)
        return self._data[start:end]

    def encoded(self, tag: int, what: str) -> bytes:
        """Return the whole next element (tag, length, content), and pass it."""
        first = self._position
        _, end = self._pass(tag, what)
        return self._data[first:end]

    def enter(self, tag: int, what: str) -> Reader:
        """Return a reader over the content of the next element, and pass it."""
        start, end = self._pass(tag, what)
        return Reader(self._data, self._path, start=start, end=end)

    def skip(self, tag: int, what: str) -> bool:
        """Pass the next element if its tag is ``tag``; say whether it was."""
        if self.peek() != tag:
            return False
        self._pass(tag, what)
        return True

    def finish(self, what: str) -> None:
        """Raise ``FormatError`` if anything is left."""
        if not self.at_end:
            raise self._error(f"the end of {what}", f"{self._end - self._position} bytes more")

    def _pass(self, tag: int, what: str) -> tuple[int, int]:
        found = self.peek()
        if found != tag:
            seen = "nothing" if found < 0 else tag_name(found)
            raise self._error(f"{tag_name(tag)} ({what})", seen)
        start, length = self._length(what)
        if length > self._end - start:
            raise self._error(f"{what} of at most {self._end - start} bytes", f"{length}")
        self._position = start + length
        return start, start + length

    def _length(self, what: str) -> tuple[int, int]:
        """Return where the content of the next element starts and how long it says it is."""
        position = self._position + 1
        if position >= self._end:
            raise self._error(f"the length of {what}", "the end")
        first = self._data[position]
        if first < 0x80:
            return position + 1, first
        count = first & 0x7F
        octets = self._data[position + 1 : min(position + 1 + count, self._end)]
        if not 1 <= count <= 4 or len(octets) != count:
            raise self._error(f"a definite length of {what}", f"length octet {first:#04x}")
        length = int.from_bytes(octets, "big")
        if length < 0x80 or octets[0] == 0:
            raise self._error(f"the shortest length of {what}", octets.hex())
        return position + 1 + count, length

    def _error(self, expected: str, found: str) -> FormatError:
        return FormatError(expected, found, path=self._path, offset=self._position)


def oid_text(content: bytes) -> str:
    """Return the dotted form of an OBJECT IDENTIFIER's content octets."""
    numbers: list[int] = []
    value = 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(value)
            value = 0
    if not numbers:
        return ""
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, [first, numbers[0] - 40 * first, *numbers[1:]]))


def oid_bytes(text: str) -> bytes:
    """Return the content octets of the OBJECT IDENTIFIER written ``text``."""
    first, second, *rest = map(int, text.split("."))
    content = bytearray()
    for number in (40 * first + second, *rest):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return bytes(content)


def encode(tag: int, *parts: bytes) -> bytes:
    """Return the element ``tag`` whose content is the concatenation of ``parts``."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def encode_oid(text: str) -> bytes:
    """Return the OBJECT IDENTIFIER written ``text`` as an element."""
    return encode(OID, oid_bytes(text))
