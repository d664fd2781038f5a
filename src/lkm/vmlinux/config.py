"""A kernel's configuration: which options are y, m, or have a value.

Source: ``scripts/kconfig/confdata.c`` (the file), ``kernel/configs.c`` (the copy in the image,
``CONFIG_IKCONFIG``).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

from lkm.errors import FormatError

_LINE = re.compile(
    r"^(?:(CONFIG_\w+)=(.*)|# (CONFIG_\w+) is not set)$",
    re.MULTILINE,
)
_LIMIT = 16 << 20
_START, _END = b"IKCFG_ST", b"IKCFG_ED"


def parse(text: str) -> dict[str, str]:
    """Return the options of a ``.config`` by their full names (``CONFIG_MODULES``).

    A value is ``y``, ``m``, ``n`` (for "is not set"), a number as written, or a string without
    its quotes and backslashes.
    """
    options = {}
    for match in _LINE.finditer(text):
        name, value, unset = match.groups()
        options[unset or name] = "n" if unset else _unquote(value)
    return options


def embedded(image: bytes, path: str = "") -> Mapping[str, str] | None:
    """Return the configuration embedded in an unpacked kernel, or ``None`` when it has none."""
    start = image.find(_START)
    if start < 0:
        return None
    end = image.find(_END, start)
    decoder = zlib.decompressobj(wbits=31)
    try:
        data = decoder.decompress(image[start + len(_START) : end if end > 0 else None], _LIMIT)
    except zlib.error as error:
        raise FormatError("a gzip stream", str(error), path=path, offset=start) from None
    if not decoder.eof:
        raise FormatError("a gzip stream that ends", "a cut one", path=path, offset=start)
    return parse(data.decode("utf-8", "replace"))


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value
