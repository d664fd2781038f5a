"""Parse a parameter string as the kernel does, value by value.

Source: ``lib/cmdline.c: next_arg``, ``kernel/params.c`` (parse_args, parse_one, param_set_*,
param_array), ``lib/kstrtox.c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from errno import EINVAL, ENOSPC, ERANGE

from lkm.module.names import normalize

_SPACES = " \t\n\v\f\r"
_STRING_LIMIT = 1024

# type → (smallest, largest) on a 64-bit kernel
_NUMBERS = {
    "byte": (0, 0xFF),
    "short": (-0x8000, 0x7FFF),
    "ushort": (0, 0xFFFF),
    "int": (-0x80000000, 0x7FFFFFFF),
    "uint": (0, 0xFFFFFFFF),
    "hexint": (0, 0xFFFFFFFF),
    "long": (-(1 << 63), (1 << 63) - 1),
    "ulong": (0, (1 << 64) - 1),
    "ullong": (0, (1 << 64) - 1),
}
_BOOLS = ("bool", "invbool", "bint")


@dataclass(frozen=True, slots=True)
class ParameterWord:
    """One word of the string; ``value`` is ``None`` where there is no ``=``."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a value is refused: the errno, and the kernel's line before the usual one, if any."""

    errno: int
    message: str = ""


def split(text: str) -> tuple[tuple[ParameterWord, ...], str | None]:
    """Return the arguments in ``text``, and what follows ``--`` (``None`` without it)."""
    found: list[ParameterWord] = []
    rest = text.lstrip(_SPACES)
    while rest:
        argument, rest = _next(rest)
        if argument.value is None and argument.name == "--":
            return tuple(found), rest
        found.append(argument)
    return tuple(found), None


def _next(text: str) -> tuple[ParameterWord, str]:
    """``next_arg``: a quote may open the whole word or only its value."""
    quoted = in_quote = text.startswith('"')
    body = text[1:] if quoted else text
    equals = end = -1
    for place, char in enumerate(body):
        if char in _SPACES and not in_quote:
            end = place
            break
        if equals < 0 and char == "=":
            equals = place
        if char == '"':
            in_quote = not in_quote
    word, rest = (body, "") if end < 0 else (body[:end], body[end:])
    if equals < 0:
        return ParameterWord(_unquoted(word) if quoted else word, None), rest.lstrip(_SPACES)
    name, value = word[:equals], word[equals + 1 :]
    if value.startswith('"'):
        value = _unquoted(value[1:])
    elif quoted:
        value = _unquoted(value)
    return ParameterWord(name, value), rest.lstrip(_SPACES)


def _unquoted(text: str) -> str:
    return text.removesuffix('"')


def same_name(one: str, other: str) -> bool:
    """``parameq``: dashes and underscores are the same."""
    return normalize(one) == normalize(other)


def refusals(kind: str, name: str, value: str | None, limit: int | None = None) -> Refusal | None:
    """Return why a parameter of type ``kind`` (as in ``parmtype``) refuses ``value``.

    ``limit`` is an array's length, or the room of a string; ``None`` when it is not known, or
    the type is not one of the kernel's own, means that nothing can be said.
    """
    if kind.startswith("array of "):
        return _array(kind.removeprefix("array of "), name, value, limit)
    if kind in _BOOLS:
        return _bool(kind, value)
    if value is None:
        return Refusal(EINVAL) if kind in _NUMBERS or kind in ("charp", "string") else None
    if kind in _NUMBERS:
        return _number(value, *_NUMBERS[kind])
    if kind == "charp" and len(value.encode()) > _STRING_LIMIT:
        return Refusal(ENOSPC, f"{name}: string parameter too long")
    if kind == "string" and limit is not None and len(value.encode()) + 1 > limit:
        return Refusal(ENOSPC, f"{name}: string doesn't fit in {limit - 1} chars.")
    return None


def _bool(kind: str, value: str | None) -> Refusal | None:
    text = "1" if value is None else value
    if kind == "bint" and value is None:
        return None
    first = text[:1]
    if first in ("y", "Y", "t", "T", "1", "n", "N", "f", "F", "0") and first:
        return None
    if first in ("o", "O") and text[1:2] in ("n", "N", "f", "F") and text[1:2]:
        return None
    return Refusal(EINVAL)


def _number(text: str, smallest: int, largest: int) -> Refusal | None:
    """``kstrtoint`` and its kin, base 0: one sign, one newline at the end, nothing else."""
    body = text.removesuffix("\n")
    if body.startswith("-") and smallest == 0:
        return Refusal(EINVAL)
    negative = body.startswith("-")
    digits = body[1:] if body[:1] in ("-", "+") else body
    base = 10
    if digits[:2].lower() == "0x" and _all_digits(digits[2:3], 16):
        base, digits = 16, digits[2:]
    elif digits.startswith("0"):
        base = 8
    if not _all_digits(digits, base):
        return Refusal(EINVAL)
    value = int(digits, base) * (-1 if negative else 1)
    return None if smallest <= value <= largest else Refusal(ERANGE)


def _all_digits(text: str, base: int) -> bool:
    return bool(text) and all(
        c in "0123456789abcdefABCDEF"[: base if base < 16 else 22] for c in text
    )


def _array(kind: str, name: str, value: str | None, limit: int | None) -> Refusal | None:
    if value is None:
        return Refusal(EINVAL) if kind not in _BOOLS else None
    for index, item in enumerate(_items(value)):
        if limit is not None and index >= limit:
            return Refusal(EINVAL, f"{name}: can only take {limit} arguments")
        refused = refusals(kind, name, item)
        if refused is not None:
            return refused
    return None


def _items(value: str) -> Iterator[str]:
    yield from value.split(",")
