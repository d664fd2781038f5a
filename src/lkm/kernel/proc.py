"""The lines of /proc/modules and the files of /sys/module, as values.

Sources: ``kernel/module/procfs.c: m_show``, ``kernel/module/sysfs.c``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lkm.errors import FormatError


@dataclass(frozen=True, slots=True)
class LoadedModule:
    """One line of /proc/modules.

    ``size`` in bytes; ``refcount`` is ``None`` where the kernel cannot unload modules; ``holders``
    are the modules that use it, without the ``[permanent]`` mark, which is ``permanent``;
    ``state`` is ``Live``, ``Loading`` or ``Unloading``; ``address`` is 0 when it is hidden from
    the caller; ``taints`` are letters (``OE``), and ``+`` or ``-`` while coming or going.
    """

    name: str
    size: int
    refcount: int | None
    holders: tuple[str, ...]
    state: str
    address: int
    taints: str = ""
    permanent: bool = False


def parse_modules(text: str) -> tuple[LoadedModule, ...]:
    """Read the text of /proc/modules, newest module first; FormatError names the line."""
    return tuple(
        _parse_line(line, number) for number, line in enumerate(text.splitlines(), 1) if line
    )


def _parse_line(line: str, number: int) -> LoadedModule:
    fields = line.split()
    try:
        name, size, refcount, holders, state, address, *taints = fields
        users = [user for user in holders.split(",") if user not in ("", "-")]
        return LoadedModule(
            name=name,
            size=int(size),
            refcount=None if refcount == "-" else int(refcount),
            holders=tuple(user for user in users if user != "[permanent]"),
            state=state,
            address=int(address, 16),
            taints=taints[0].strip("()") if taints else "",
            permanent="[permanent]" in users,
        )
    except ValueError:
        raise FormatError(
            "'NAME SIZE REFCOUNT HOLDERS STATE ADDRESS'",
            repr(line[:80]),
            path=f"/proc/modules:{number}",
        ) from None


_MASK = (1 << 64) - 1
_GOLDEN_RATIO = 0x61C8864680B583EB  # include/linux/hash.h


def sysfs_order(names: Iterable[str]) -> list[str]:
    """Return names in the order in which a 64-bit kernel lists them in a folder of sysfs.

    That is by hash (``fs/kernfs/dir.c: kernfs_name_hash``, ``include/linux/stringhash.h``).
    """
    return sorted(names, key=lambda name: (_kernfs_hash(name), name))


def _kernfs_hash(name: str) -> int:
    value = 0
    for byte in name.encode("utf-8", "surrogateescape"):
        value = (value + (byte << 4) + (byte >> 4)) * 11 & _MASK
    value = (value * _GOLDEN_RATIO & _MASK) >> 32
    value &= 0x7FFFFFFF
    return min(value + 2 if value < 2 else value, 0x7FFFFFFE)
