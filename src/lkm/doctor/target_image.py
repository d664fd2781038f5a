"""Target facts out of a kernel image, kept in the image's own cache of facts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import msgspec

from lkm.doctor import kernel_types
from lkm.doctor.offers import KernelOffers
from lkm.doctor.target import OPTIONS, ImageFacts
from lkm.errors import LkmError
from lkm.vmlinux.cache import FactStore
from lkm.vmlinux.image import VmlinuxImage, open_cached

CHECKS: Mapping[str, bytes] = {
    "struct-module-size": b".gnu.linkonce.this_module section size must match",
    "one-symbol-table": b"Exactly one .gnu.linkonce.this_module section must exist",
    "one-modinfo": b"Only one .modinfo section must exist",
    "symbol-section": b"has an invalid section index",
    "relocation-target": b"Invalid relocation target",
    "btf-base": b"\0.BTF.base\0",
    "terse-elf": b"Module has invalid ELF structures",
}
"""Checks some kernels make and others do not, each with the text only those have in them.

``terse-elf`` (5.10) is one message for all that can be wrong with the file's structure.

One more, ``missing-checksum``, is told by the distribution."""

_FACT = "doctor-8"


class _Kept(msgspec.Struct):
    release: str
    vermagic: str
    machine: int
    config: dict[str, str]
    checks: list[str]
    struct_module: int | None
    keys: list[bytes]
    exports: dict[str, tuple[bool, str, int | None]]


def read_image(path: str | os.PathLike[str]) -> ImageFacts:
    """Return what the kernel image ``path`` decides; a second the first time, then milliseconds.

    Raises FormatError for a file that is no kernel, UnsupportedError for one that cannot be read.
    """
    image = open_cached(path)
    store = FactStore(image.key)
    kept = _load(store)
    if kept is None:
        kept = _read(image)
        store.save(_FACT, msgspec.msgpack.encode(kept))
    return ImageFacts(
        release=kept.release,
        vermagic=kept.vermagic,
        machine=kept.machine,
        exports=KernelOffers(kept.exports),
        config=kept.config,
        checks=frozenset(kept.checks),
        struct_module=kept.struct_module,
        keys=tuple(kept.keys),
        types=kernel_types.of_image(image, store),
    )


def _load(store: FactStore) -> _Kept | None:
    data = store.load(_FACT)
    if data is None:
        return None
    try:
        return msgspec.msgpack.decode(data, type=_Kept)
    except msgspec.DecodeError:
        return None


def _checks(image: VmlinuxImage, data: bytes) -> list[str]:
    found = [name for name, message in CHECKS.items() if message in data]
    # Debian's kernels refuse a symbol without a checksum where others only warn; the message is
    # the same (debian/patches: module-disable-matching-missing-crc).
    return [*found, "missing-checksum"] if "debian" in image.banner.lower() else found


def _read(image: VmlinuxImage) -> _Kept:
    data = image.elf.data
    return _Kept(
        release=image.release,
        vermagic=find_vermagic(data, image.release),
        machine=image.elf.machine_number,
        config=_config(image),
        checks=_checks(image, data),
        struct_module=_struct_module(image),
        keys=_builtin_keys(image),
        exports={e.name: (e.gpl, e.namespace, e.crc) for e in image.exports},
    )


_VERMAGIC = re.compile(rb"[\w.+~-]+(?: [\w.,=-]+)* \0")


def find_vermagic(data: bytes, release: str) -> str:
    """Return the version magic in an unpacked kernel, "" when it is not there.

    It is a string of its own that begins with the release and ends with a space
    (``include/linux/vermagic.h``).
    """
    start = data.find(b"\0" + release.encode() + b" ")
    while start >= 0:
        match = _VERMAGIC.match(data, start + 1, start + 512)
        if match:
            return match[0][:-1].decode("ascii")
        start = data.find(b"\0" + release.encode() + b" ", start + 1)
    return ""


def _config(image: VmlinuxImage) -> dict[str, str]:
    try:
        config = image.config
    except LkmError:
        return {}
    return {name: config[name] for name in OPTIONS if name in config}


def _struct_module(image: VmlinuxImage) -> int | None:
    try:
        return image.btf.size("module")
    except LkmError:
        return None


def _builtin_keys(image: VmlinuxImage) -> list[bytes]:
    from lkm.signing import certificate  # the first look at a kernel only

    try:
        return [found.encoded for found in certificate.split(image.certificates, image.path)]
    except LkmError:
        return []
