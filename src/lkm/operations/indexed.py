"""The module tree of a kernel that is here, with indexes, so that names can be resolved in it."""

from __future__ import annotations

import os

from lkm.errors import NotFoundError
from lkm.tree import kernels
from lkm.tree.root import Root


def indexed_root(release: str) -> Root:
    """Return the root directory that the kernel of that release belongs to.

    Raises NotFoundError when its modules are not here, or were never indexed.
    """
    known = kernels.find(release)
    root = Root(known.root, known.release)
    if not os.path.exists(f"{root.modules_directory}/modules.dep"):
        raise NotFoundError(
            f"the modules of kernel {known.release} are not indexed",
            hint=f"lkm depmod -b {known.root} {known.release}",
        )
    return root
