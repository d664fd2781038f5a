"""Modules changed on purpose: fields of ``.modinfo`` rewritten, and bytes damaged at random."""

from __future__ import annotations


def without_field(module: bytes, key: str) -> bytes:
    """Return ``module`` with the modinfo field ``key`` renamed, so that nobody finds it."""
    return _replaced(module, f"\0{key}=".encode(), f"\0{'x' * len(key)}=".encode())


def with_field(module: bytes, key: str, value: str) -> bytes:
    """Return ``module`` with ``value`` in the first field ``key``, padded with NULs.

    The new value may not be longer than the old one.
    """
    start = module.index(f"\0{key}=".encode()) + len(key) + 2
    end = module.index(b"\0", start)
    assert len(value.encode()) <= end - start, f"{value!r} does not fit into {end - start} bytes"
    return module[:start] + value.encode().ljust(end - start, b"\0") + module[end:]


def _replaced(module: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert old in module, f"{old!r} is not in the module"
    return module.replace(old, new)
