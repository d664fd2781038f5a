"""A kernel's types as its modules continue them, read only when a module with types is judged."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from lkm.errors import LkmError

if TYPE_CHECKING:
    from lkm.vmlinux.btf_split import Base, Misfit
    from lkm.vmlinux.cache import FactStore
    from lkm.vmlinux.image import VmlinuxImage

_FACT = "btf-base-1"
_COUNT = struct.Struct("<I")


class KernelTypes:
    """The kernel types that a module's ``.BTF`` continues; ``read`` is called once, when needed."""

    def __init__(self, read: Callable[[], Base | None]) -> None:
        self._read = read

    def misfit(self, data: bytes) -> Misfit | None:
        """Return why the kernel does not take a section ``.BTF``; ``None``: it does, or unknown."""
        from lkm.vmlinux.btf_split import misfit  # for modules with types only

        return None if self._base is None else misfit(data, self._base)

    @functools.cached_property
    def _base(self) -> Base | None:
        return self._read()

    def __reduce__(self) -> tuple[object, ...]:
        """Go to another machine with what was read: it has no file of ours."""
        return _known, (self._base,)


def of_image(image: VmlinuxImage, store: FactStore) -> KernelTypes:
    """Return the types of a kernel image, kept in ``store`` once they were read."""
    return KernelTypes(lambda: _kept(store) or _keep(image, store))


def _known(base: Base | None) -> KernelTypes:
    return KernelTypes(lambda: base)


def _kept(store: FactStore) -> Base | None:
    from lkm.vmlinux.btf_split import Base

    data = store.load(_FACT)
    if data is None or len(data) < _COUNT.size:
        return None
    (count,) = _COUNT.unpack_from(data)
    return Base(count, data[_COUNT.size :])


def _keep(image: VmlinuxImage, store: FactStore) -> Base | None:
    from lkm.vmlinux.btf_split import base_of

    try:
        base = base_of(image.btf)
    except LkmError:
        return None
    store.save(_FACT, _COUNT.pack(base.count) + base.names)
    return base
