"""Versions as dkms orders them: every number padded to three digits, then compared as text."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[0-9]+")


def padded(version: str) -> str:
    """Return ``version`` with its numbers padded, so that text order is version order.

    Source: dkms's ``VER``: ``2.6.9-1cvs200409091247`` becomes ``002.006.009-001cvs200409091247``.
    """
    return _NUMBER.sub(lambda number: number.group().zfill(3), version)


def natural_key(text: str) -> tuple[tuple[bool, int, str], ...]:
    """Return a key that sorts as ``sort -V``: runs of digits by value, all else as text."""
    parts = re.split(r"([0-9]+)", text)
    return tuple((part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)
