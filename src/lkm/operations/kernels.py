"""List, fetch and remove the kernels that modules are built for and tried on."""

from __future__ import annotations

from lkm.tree.kernels import KnownKernel, available, fetch, known, remove

__all__ = ["KnownKernel", "available", "fetch", "known", "remove"]
