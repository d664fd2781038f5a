"""Everything one does with a Linux loadable kernel module."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from typing import Any

    from lkm.errors import FormatError, KernelDiedError, KernelError, LkmError, NotFoundError
    from lkm.kernel.kernel import Kernel
    from lkm.kernel.open import open_kernel
    from lkm.module.image import ModuleImage
    from lkm.vmlinux.image import VmlinuxImage

__version__ = "0.1.0"

# Imported when first asked for: a small command must not pay for the whole library.
_PUBLIC = {
    "FormatError": "lkm.errors",
    "Kernel": "lkm.kernel.kernel",
    "KernelDiedError": "lkm.errors",
    "KernelError": "lkm.errors",
    "LkmError": "lkm.errors",
    "ModuleImage": "lkm.module.image",
    "NotFoundError": "lkm.errors",
    "VmlinuxImage": "lkm.vmlinux.image",
    "open_kernel": "lkm.kernel.open",
}
__all__ = [
    "FormatError",
    "Kernel",
    "KernelDiedError",
    "KernelError",
    "LkmError",
    "ModuleImage",
    "NotFoundError",
    "VmlinuxImage",
    "__version__",
    "open_kernel",
]


def __getattr__(name: str) -> Any:
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'lkm' has no attribute {name!r}") from None
    import importlib  # 1 ms, which no command need pay

    return getattr(importlib.import_module(module), name)
