"""A loaded module's life as the kernel shows it under /proc and /sys.

Source: ``kernel/module/sysfs.c``, ``kernel/module/main.c`` (show_initstate and its neighbours).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from lkm.errors import NotFoundError
from lkm.kernel.kernel import Kernel
from lkm.module.names import normalize
from lkm.taint import TaintFlag, from_letters


@dataclass(frozen=True, slots=True)
class ModuleState:
    """A module's state as a kernel shows it.

    ``state`` is ``live``, ``coming``, ``going`` or ``builtin``; sizes are in bytes, and
    ``init_size`` becomes 0 when the memory of ``__init`` was freed; ``sections`` are name and
    address, 0 where addresses are hidden; ``depends_on`` are the loaded modules that this one
    holds; ``size`` is what /proc/modules says.
    """

    name: str
    state: str
    refcount: int | None
    holders: tuple[str, ...]
    depends_on: tuple[str, ...]
    size: int
    address: int
    core_size: int
    init_size: int
    version: str
    source_version: str
    taints: tuple[TaintFlag, ...]
    sections: tuple[tuple[str, int], ...]
    parameters: tuple[tuple[str, str], ...]
    drivers: tuple[str, ...]

    @property
    def init_freed(self) -> bool:
        """Whether the memory of its init functions is gone."""
        return self.state == "live" and self.init_size == 0


def read_state(kernel: Kernel, name: str) -> ModuleState:
    """Return what ``kernel`` shows of a module; NotFoundError when it knows none of that name."""
    name = normalize(name)
    folder = f"/sys/module/{name}"
    modules = {module.name: module for module in kernel.modules()}
    loaded = modules.get(name)
    if loaded is None and not kernel.exists(folder):
        raise NotFoundError(
            f"module {name} is neither loaded in {kernel.name} nor built in with parameters"
        )
    taints = _text(kernel, f"{folder}/taint") or (loaded.taints if loaded else "")
    return ModuleState(
        name=name,
        state=kernel.initial_state(name) or ("coming" if loaded else "builtin"),
        refcount=loaded.refcount if loaded else None,
        holders=kernel.holders(name),
        depends_on=tuple(n for n, module in sorted(modules.items()) if name in module.holders),
        size=loaded.size if loaded else 0,
        address=loaded.address if loaded else 0,
        core_size=_number(kernel, f"{folder}/coresize"),
        init_size=_number(kernel, f"{folder}/initsize"),
        version=_text(kernel, f"{folder}/version"),
        source_version=_text(kernel, f"{folder}/srcversion"),
        taints=from_letters(taints),
        sections=tuple(_sections(kernel, f"{folder}/sections")),
        parameters=tuple(kernel.parameters(name).items()) if kernel.exists(folder) else (),
        drivers=tuple(_names(kernel, f"{folder}/drivers")),
    )


def _sections(kernel: Kernel, folder: str) -> list[tuple[str, int]]:
    found = [(name, _number(kernel, f"{folder}/{name}")) for name in _names(kernel, folder)]
    return sorted(found, key=lambda section: (section[1], section[0]))


def _names(kernel: Kernel, folder: str) -> list[str]:
    with contextlib.suppress(OSError):
        return kernel.list_directory(folder)
    return []


def _text(kernel: Kernel, path: str) -> str:
    with contextlib.suppress(OSError):
        return kernel.read_text(path).strip()
    return ""


def _number(kernel: Kernel, path: str) -> int:
    with contextlib.suppress(ValueError):
        return int(_text(kernel, path) or "0", 0)
    return 0
