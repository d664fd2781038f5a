"""The device nodes that load a module when they are opened (``modules.devname``)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lkm.tree.root import Root

_ENTRY = re.compile(r"\s{0,80}(\S{1,255})\s{1,80}(\S{1,255})\s{1,80}([cb])(\d{1,9}):(\d{1,9})")


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """One node: its module, its name below /dev, ``c`` or ``b``, its numbers."""

    module: str
    name: str
    type: str
    major: int
    minor: int


def static_nodes(root: Root) -> tuple[tuple[DeviceNode, ...], tuple[str, ...]]:
    """Return the nodes of ``root``'s release, and the lines that are none.

    Raises FileNotFoundError when depmod has not written ``modules.devname``.
    """
    nodes = []
    bad = []
    path = f"{root.modules_directory}/modules.devname"
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            if line.startswith("#"):
                continue
            found = _ENTRY.match(line)
            if found:
                module, name, kind, major, minor = found.groups()
                nodes.append(DeviceNode(module, name, kind, int(major), int(minor)))
            else:
                bad.append(line)
    return tuple(nodes), tuple(bad)
