"""Everything one does with a Linux loadable kernel module."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lkm.errors import LkmError

__version__ = "0.1.0"

# Imported when first asked for: a small command must not pay for the whole library.
_PUBLIC = {
    "LkmError": "lkm.errors",
}
__all__ = ["LkmError", "__version__"]


def __getattr__(name: str) -> Any:
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'lkm' has no attribute {name!r}") from None
    return getattr(importlib.import_module(module), name)
