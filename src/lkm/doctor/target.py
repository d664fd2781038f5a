"""Facts about a kernel that a module is to be loaded into, wherever they were read.

A target is read from a module tree and a kernel image (``target_image``, ``target_tree``), from a
running ``Kernel`` (``target_kernel``) or from another host's inventory (``inventory``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lkm.doctor.kernel_types import KernelTypes
from lkm.doctor.offers import Offer
from lkm.module.image import ModuleImage
from lkm.module.licence import is_gpl_compatible
from lkm.module.symbols import Export
from lkm.tree.config import Config

if TYPE_CHECKING:
    from lkm.signing.keyring import Keyring

OPTIONS = tuple(
    f"CONFIG_{name}"
    for name in (
        "MODVERSIONS", "MODULE_FORCE_LOAD", "MODULE_SIG", "MODULE_SIG_FORCE", "MODULE_UNLOAD",
        "MODULE_ALLOW_BTF_MISMATCH", "MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS", "LIVEPATCH",
        "RETPOLINE", "MITIGATION_RETPOLINE", "MODULE_DECOMPRESS", "DEBUG_INFO_BTF_MODULES",
        "SECURITY_LOCKDOWN_LSM", "LOCK_DOWN_KERNEL_FORCE_INTEGRITY",
        "LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY", "RANDOMIZE_BASE",
    )
)  # fmt: skip
"""The build options that loading depends on."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The facts that the kernel's image decides.

    ``vermagic`` is "" where it could not be read; ``machine`` an ELF machine number; ``config``
    the build options that loading depends on; ``checks`` names the checks this kernel makes that
    others do not (see ``target_image.CHECKS``); ``struct_module`` is the size in bytes; ``keys``
    are the DER certificates built in; ``types`` what a module's own types are held against.
    """

    release: str
    vermagic: str
    machine: int
    exports: Mapping[str, Offer]
    config: Mapping[str, str] = field(default_factory=dict)
    checks: frozenset[str] = frozenset()
    struct_module: int | None = None
    keys: tuple[bytes, ...] = ()
    types: KernelTypes | None = None

    def has(self, option: str) -> bool:
        """Whether the build option ``CONFIG_<option>`` is on."""
        return self.config.get(f"CONFIG_{option}") in ("y", "m")

    @property
    def ignores_signatures(self) -> bool:
        """Whether it is known not to look for a signature at the end of a module."""
        return bool(self.config) and not self.has("MODULE_SIG")


@dataclass(frozen=True, slots=True)
class Policy:
    """The permissions and policies of the running system.

    ``enforce``: only signed modules; ``lockdown``: ``none``, ``integrity`` or
    ``confidentiality``; ``blacklist``: ``module_blacklist=``. ``None``: not known. ``keys`` are
    further trusted certificates (MOK), DER; ``key_ids`` the ids of trusted keys whose
    certificates could not be read, hexadecimal.
    """

    enforce: bool = False
    lockdown: str = "none"
    modules_disabled: bool = False
    capable: bool | None = None
    container: str = ""
    secure_boot: bool | None = None
    blacklist: frozenset[str] = frozenset()
    keys: tuple[bytes, ...] = ()
    key_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LoadedAlready:
    """A module in the kernel: its state in /proc/modules, and whether it is proprietary."""

    name: str
    state: str = "Live"
    proprietary: bool = False


@dataclass(frozen=True, slots=True)
class TreeFacts:
    """The modules that could be loaded: name → path, symbol → offers, and the configuration."""

    directory: str
    modules: Mapping[str, str]
    offers: Mapping[str, Sequence[Offer]]
    builtin: frozenset[str] = frozenset()
    config: Config = field(default_factory=Config)


@dataclass(frozen=True, slots=True)
class Target:
    """A kernel to load into; ``loaded`` is ``None`` for one at rest, of which only files are here.

    ``offers`` are the exports of loaded modules.
    """

    name: str
    image: ImageFacts
    policy: Policy = Policy()
    loaded: Mapping[str, LoadedAlready] | None = None
    offers: Mapping[str, Offer] = field(default_factory=dict)
    tree: TreeFacts | None = None

    @property
    def keyring(self) -> Keyring:
        """The keys it trusts for modules."""
        return _keyring(self.image.keys, self.policy.keys)

    @property
    def release(self) -> str:
        """The kernel's release."""
        return self.image.release

    def find_loaded(self, symbol: str) -> Offer | None:
        """Return who offers ``symbol`` now: the kernel, then a loaded module.

        On a target at rest every module of its tree counts as loaded, for modprobe will load it.
        """
        found = self.image.exports.get(symbol) or self.offers.get(symbol)
        if found is None and self.loaded is None and self.tree is not None:
            found = next(iter(self.tree.offers.get(symbol, ())), None)
        return found

    def find_loadable(self, symbol: str) -> Offer | None:
        """Return a module of the tree that offers ``symbol``, loaded or not."""
        offers = self.tree.offers.get(symbol, ()) if self.tree is not None else ()
        return next(iter(offers), None)

    def with_loaded(self, image: ModuleImage, name: str = "") -> Target:
        """Return the target as it is once ``image`` has been loaded."""
        name = name or image.name
        loaded = dict(self.loaded or {})
        loaded[name] = LoadedAlready(name, proprietary=not is_gpl_compatible(image.licence))
        return replace(self, loaded=loaded, offers={**self.offers, **offers_of(image, name)})

    def without(self, name: str) -> Target:
        """Return the target as it is once the module ``name`` has been unloaded."""
        loaded = {key: value for key, value in (self.loaded or {}).items() if key != name}
        offers = {key: offer for key, offer in self.offers.items() if offer.owner != name}
        return replace(self, loaded=loaded, offers=offers)


@functools.lru_cache(maxsize=16)
def _keyring(builtin: tuple[bytes, ...], enrolled: tuple[bytes, ...]) -> Keyring:
    from lkm.signing import keyring  # loads cryptography, which few questions need

    return keyring.from_encoded(builtin, ".builtin_trusted_keys") + keyring.from_encoded(
        enrolled, ".machine"
    )


def offers_of(image: ModuleImage, owner: str) -> dict[str, Offer]:
    """Return the exports of a module as offers."""
    return {export.name: offer(export, owner) for export in image.exports}


def offer(export: Export, owner: str) -> Offer:
    """Return one export of ``owner`` as an offer."""
    return Offer(export.gpl, export.namespace, export.crc, owner)


def loaded_offers(loaded: Iterable[str], tree: TreeFacts | None) -> dict[str, Offer]:
    """Return the exports of those modules of ``tree`` that are loaded."""
    if tree is None:
        return {}
    names = frozenset(loaded)
    found = {}
    for symbol, offers in tree.offers.items() if names else ():
        for one in offers:
            if one.owner in names:
                found[symbol] = one
                break
    return found


def nearest(name: str, names: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """Return the names most like ``name``: a letter or two apart, or with a part in common."""
    import difflib  # only for a name that was not found

    # difflib is slow on ten thousand names; the first letters usually agree.
    head = name[:3].lower()
    close = [n for n in names if n[:3].lower() == head or name in n]
    return tuple(difflib.get_close_matches(name, close, limit, 0.75))
