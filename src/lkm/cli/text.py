"""How the commands write some things."""

from __future__ import annotations


def colons(digest: str) -> str:
    """Return a fingerprint the way mokutil and MokManager show it."""
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
