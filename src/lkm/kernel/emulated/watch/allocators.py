"""The kernel's allocators as a module calls them, and the functions that give memory back.

Which argument is the size and which the flags, the kernel's own prototypes say; where they do not,
neither is known.
"""

from __future__ import annotations

from dataclasses import dataclass

from lkm.errors import LkmError
from lkm.vmlinux.btf import Btf

_SUFFIX = "_noprof"
"""On the names of allocators that can be profiled (``include/linux/alloc_tag.h``)."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SLAB = _names(
    "__kmalloc __kmalloc_node __kmalloc_track_caller __kmalloc_node_track_caller "
    "kmalloc_trace kmalloc_node_trace __kmalloc_cache __kmalloc_cache_node "
    "kmem_cache_alloc_trace kmem_cache_alloc_node_trace kmalloc_order kmalloc_order_trace "
    "kmalloc_large kmalloc_large_node __kmalloc_large __kmalloc_large_node "
    "kvmalloc_node __kvmalloc_node"
)
_OTHERS = _names(
    "vmalloc vzalloc __vmalloc vmalloc_node vzalloc_node vmalloc_user vmalloc_32 vmalloc_huge "
    "kmem_cache_alloc kmem_cache_alloc_lru kmem_cache_alloc_node "
    "kmem_cache_create kmem_cache_create_usercopy __kmem_cache_create_args "
    "kmemdup kmemdup_nul kstrdup kstrndup kasprintf kvasprintf "
    "krealloc krealloc_node_align kvrealloc kvrealloc_node_align "
    "__alloc_percpu __alloc_percpu_gfp pcpu_alloc alloc_workqueue mempool_create "
    "get_zeroed_page __get_free_pages get_free_pages alloc_pages_exact alloc_pages __alloc_pages "
    "alloc_pages_current __alloc_pages_nodemask"
)
_FROM_USER = _names("memdup_user memdup_user_nul vmemdup_user strndup_user")
"""Return an error pointer when they fail."""

COPYING = _names(
    "kmemdup kmemdup_nul kstrdup kstrndup kasprintf kvasprintf memdup_user memdup_user_nul "
    "strndup_user"
)
"""Allocate inside the kernel: what they return can be moved to guarded memory."""

FROM_CACHE = _names("kmem_cache_alloc kmem_cache_alloc_lru kmem_cache_alloc_node")
MAKES_CACHE = _names("kmem_cache_create kmem_cache_create_usercopy __kmem_cache_create_args")

_UNTRACKED = _names("devm_kmalloc devm_kmemdup devm_kstrdup __alloc_skb alloc_netdev_mqs")
"""Can be made to fail; what becomes of their memory is not the module's to say."""

FREES = {
    "kfree": 0,
    "kfree_sensitive": 0,
    "kvfree": 0,
    "kvfree_sensitive": 0,
    "vfree": 0,
    "kmem_cache_free": 1,
    "kmem_cache_destroy": 0,
    "destroy_workqueue": 0,
    "free_percpu": 0,
    "free_pages": 0,
    "free_pages_exact": 0,
    "__free_pages": 0,
    "mempool_destroy": 0,
}
"""Functions that give memory back, and which argument is its address."""

SLAB_FREES = frozenset({"kfree", "kfree_sensitive", "kvfree", "kmem_cache_free"})
DEFERRED_FREE = "kvfree_call_rcu"
REALLOCATE = _names("krealloc krealloc_node_align kvrealloc kvrealloc_node_align")
SIZES = frozenset({"ksize", "__ksize"})

_SIZE_NAMES = ("size", "len", "new_size", "newsize")
_FLAGS_NAMES = ("flags", "gfp", "gfpflags", "gfp_flags", "gfp_mask")
_NO_MEMORY = 2**64 - 12
NO_FAIL, ZERO = 0x8000, 0x100
"""``__GFP_NOFAIL``, ``__GFP_ZERO`` (``include/linux/gfp_types.h``)."""


@dataclass(frozen=True, slots=True)
class Allocator:
    """An allocator: its name as the kernel has it, and which arguments are size and flags.

    ``tracked``: the module must give its memory back. ``guarded``: its objects can be put on
    guarded pages instead. ``failure`` is what it returns when there is no memory.
    """

    name: str
    size: int | None
    flags: int | None
    tracked: bool
    guarded: bool
    failure: int = 0


def allocator(function: str, btf: Btf) -> Allocator | None:
    """Return what is known of a function if it allocates, else ``None``."""
    plain = function.removesuffix(_SUFFIX)
    if plain not in _SLAB | _OTHERS | _UNTRACKED | _FROM_USER:
        return None
    try:
        names = [name for name, _ in btf.prototype(function).parameters]
    except LkmError:
        names = []
    size, flags = _position(names, _SIZE_NAMES), _position(names, _FLAGS_NAMES)
    guarded = plain in _SLAB and size is not None and flags is not None
    failure = _NO_MEMORY if plain in _FROM_USER else 0
    return Allocator(plain, size, flags, plain not in _UNTRACKED, guarded, failure)


def _position(names: list[str], wanted: tuple[str, ...]) -> int | None:
    return next((index for index, name in enumerate(names) if name in wanted), None)
