"""A target written down as one JSON document, to be asked about on another host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from lkm.doctor.target import Target
from lkm.errors import FormatError

SCHEMA = "lkm.inventory/1"
_LARGEST = 256 << 20


class _Document(msgspec.Struct):
    schema: str
    target: Target


def encode(target: Target) -> bytes:
    """Return ``target`` as the bytes of a JSON document."""
    # A megabyte of names, to foresee what most kernels only warn of: left out.
    image = replace(target.image, exports=dict(target.image.exports), types=None)
    tree = target.tree
    if tree is not None:
        tree = replace(tree, offers={name: tree.offers[name] for name in tree.offers})
    document = _Document(SCHEMA, replace(target, image=image, tree=tree))
    return msgspec.json.encode(document) + b"\n"


def read(path: Path) -> Target:
    """Return the target in the file ``path``; FormatError for anything else."""
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    return decode(data, str(path))


def decode(data: bytes, path: str = "") -> Target:
    """Return the target in the bytes of a JSON document."""
    hint = "write one on the other host: lkm inventory > host.json"
    if len(data) > _LARGEST:
        raise FormatError(f"at most {_LARGEST >> 20} MiB", "more", path=path, hint=hint)
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise FormatError(f"a {SCHEMA} document", str(error), path=path, hint=hint) from None
    if document.schema != SCHEMA:
        raise FormatError(f"the schema {SCHEMA}", repr(document.schema[:40]), path=path, hint=hint)
    return document.target
