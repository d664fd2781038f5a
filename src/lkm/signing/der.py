"""DER values by declaration, as ``cryptography.hazmat.asn1`` has it, with our errors.

It reads strict DER (ITU-T X.690): definite, minimal lengths, sets in order, every element inside
its parent.
"""

from __future__ import annotations

import re
from typing import TypeAlias, TypeVar

from cryptography.hazmat import asn1
from cryptography.hazmat._oid import ObjectIdentifier  # cryptography.x509 takes 25 ms to import

from lkm.errors import FormatError

__all__ = [
    "Algorithm",
    "Element",
    "ObjectIdentifier",
    "algorithm_oid",
    "decode",
    "decode_name",
    "decode_wrapped",
    "element",
    "encode",
    "first_size",
    "integer_octets",
]

Element = asn1.TLV
"""Any element; ``encode`` returns its bytes."""
Algorithm: TypeAlias = list[Element]
"""An AlgorithmIdentifier: the OID, and parameters of any kind."""

_Kind = TypeVar("_Kind")
_TAG = re.compile(r"UnexpectedTag.*?value: (\d+), .*?class: (\w+)")
_UNIVERSAL = {2: "INTEGER", 3: "BIT STRING", 4: "OCTET STRING", 5: "NULL", 6: "OBJECT IDENTIFIER"}
_UNIVERSAL |= {16: "SEQUENCE", 17: "SET"}
_FAULTS = {
    "ShortData": "its end too early",
    "ExtraData": "more after its end",
    "InvalidLength": "a length that is not definite or not the shortest",
    "InvalidSetOrdering": "a set out of order",
}


@asn1.sequence
class _Wrapped:
    element: Element


@asn1.sequence
class _Attribute:
    type: ObjectIdentifier
    value: Element


@asn1.sequence
class _WrappedName:
    parts: list[asn1.SetOf[_Attribute]]


def decode(kind: type[_Kind], data: bytes, what: str, path: str = "") -> _Kind:
    """Return the one value of class ``kind`` in ``data``; raises ``FormatError`` about ``what``."""
    extra = len(data) - first_size(data)
    if extra > 0:
        raise FormatError(f"the end of {what}", f"{extra} bytes more", path=path)
    try:
        return asn1.decode_der(kind, data)
    except ValueError as error:
        raise FormatError(f"{what} in DER", _fault(str(error)), path=path) from None


def decode_wrapped(kind: type[_Kind], data: bytes, what: str, path: str = "") -> _Kind:
    """Return a ``kind`` whose only field is the value in ``data``, such as a SEQUENCE OF."""
    element = decode(Element, data, what, path)
    return decode(kind, asn1.encode_der(_Wrapped(element=element)), what, path)


def decode_name(name: bytes, path: str = "") -> str:
    """Return the common name in the DER of an X.509 name, else its values joined by ``, ``."""
    if not name:
        return ""
    parts = decode_wrapped(_WrappedName, name, "a name", path).parts
    values = []
    for attribute in [attribute for part in parts for attribute in part.as_list()]:
        text = bytes(attribute.value.data).decode("utf-8", "replace")
        if attribute.type.dotted_string == "2.5.4.3":
            return text
        values.append(text)
    return ", ".join(values)


def encode(value: object) -> bytes:
    """Return the DER of an element or of a value of a declared class."""
    return asn1.encode_der(value)


def element(encoded: bytes) -> Element:
    """Return the one element in ``encoded``, which must be DER."""
    return decode(Element, encoded, "an element")


def first_size(data: bytes) -> int:
    """Return how long the first element of ``data`` says it is, with its tag and length."""
    if len(data) < 2 or data[1] < 0x80:
        return 2 + (data[1] if len(data) > 1 else 0)
    after = 2 + (data[1] & 0x7F)
    return after + int.from_bytes(data[2:after], "big")


def algorithm_oid(algorithm: Algorithm, what: str, path: str = "") -> str:
    """Return the dotted OID of an AlgorithmIdentifier."""
    if not algorithm:
        raise FormatError(f"{what} in DER", "an empty sequence", path=path)
    return decode(ObjectIdentifier, encode(algorithm[0]), what, path).dotted_string


def integer_octets(number: Element, what: str, path: str = "") -> bytes:
    """Return the content octets of an INTEGER as they stand, of any length."""
    if number.tag_bytes != b"\x02":
        raise FormatError(f"INTEGER ({what})", f"tag 0x{number.tag_bytes.hex()}", path=path)
    return bytes(number.data)


def _fault(message: str) -> str:
    """Return what the library's message says was found, in words."""
    tag = _TAG.search(message)
    if tag:
        number = int(tag[1])
        return _UNIVERSAL.get(number, f"tag {number}") if tag[2] == "Universal" else f"[{number}]"
    return next((text for kind, text in _FAULTS.items() if kind in message), message)
