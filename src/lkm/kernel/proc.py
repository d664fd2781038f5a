"""The lines of /proc/modules and the files of /sys/module, as values.

Sources: ``kernel/module/procfs.c: m_show``, ``kernel/module/sysfs.c``.
"""

from __future__ import annotations

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
