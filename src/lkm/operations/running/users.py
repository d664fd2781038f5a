"""Who uses a loaded module: other modules, processes with its devices open, mounts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from lkm.doctor.causes import state
from lkm.doctor.finding import Finding, Severity
from lkm.errors import NotFoundError
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.module.names import normalize


def who_uses(module: str, where: str = "live") -> Finding:
    """Return the users of ``module`` in the kernel ``where``; a NOTE when there are none."""
    with open_kernel(where) as kernel:
        return users_in(kernel, module)


def users_in(kernel: Kernel, module: str) -> Finding:
    """Return the users of ``module`` in an open kernel."""
    name = normalize(module)
    try:
        loaded = kernel.module(name)
    except NotFoundError:
        return state.not_loaded(name)
    if loaded.state != "Live":
        return state.stuck(name)
    users = (*_mounts(kernel, name), *_open_files(kernel, name), *_interfaces(kernel, name))
    if not loaded.holders and not users and not loaded.refcount:
        return Finding(
            "not-in-use", Severity.NOTE, f"nothing uses {name}; it can be unloaded", module=name
        )
    return state.in_use(name, loaded.holders, users, loaded.refcount or 0)


def _text(kernel: Kernel, path: str) -> str:
    try:
        return kernel.read_text(path)
    except OSError:
        return ""


def _names(kernel: Kernel, path: str) -> list[str]:
    try:
        return kernel.list_directory(path)
    except OSError:
        return []


def _mounts(kernel: Kernel, module: str) -> Iterator[str]:
    """File systems of the module's name, and mounts on its block devices."""
    numbers = _device_numbers(kernel, module)
    for line in _text(kernel, "/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), (right.split() or [""])[0]
        if len(fields) > 4 and (normalize(kind) == module or fields[2] in numbers):
            yield f"the {kind} file system mounted at {fields[4]}"


def _device_numbers(kernel: Kernel, module: str) -> frozenset[str]:
    """Return ``major:minor`` of the devices whose driver is in the module.

    A driver's link to its module is in sysfs; a block driver that has none (loop) is told by its
    name in /proc/devices.
    """
    majors = {
        number
        for number, name in re.findall(r"^ *(\d+) (\S+)$", _text(kernel, "/proc/devices"), re.M)
        if normalize(name) == module
    }
    found = set()
    for kind in ("block", "char"):
        for number in _names(kernel, f"/sys/dev/{kind}"):
            if number.partition(":")[0] in majors or _driven_by(kernel, kind, number, module):
                found.add(number)
    return frozenset(found)


def _driven_by(kernel: Kernel, kind: str, number: str, module: str) -> bool:
    try:
        link = kernel.read_link(f"/sys/dev/{kind}/{number}/device/driver/module")
    except OSError:
        return False
    return os.path.basename(link) == module


def _open_files(kernel: Kernel, module: str) -> Iterator[str]:
    """Processes that have one of the module's devices open (as root; else one's own)."""
    numbers = _device_numbers(kernel, module)
    if not numbers:
        return
    for pid in filter(str.isdigit, _names(kernel, "/proc")):
        for descriptor in _names(kernel, f"/proc/{pid}/fd"):
            path = f"/proc/{pid}/fd/{descriptor}"
            try:
                status = kernel.stat(path)
                if f"{status.rdev[0]}:{status.rdev[1]}" in numbers and status.rdev != (0, 0):
                    name = _text(kernel, f"/proc/{pid}/comm").strip()
                    yield f"the process {name} ({pid}), which has {kernel.read_link(path)} open"
            except OSError:
                continue


def _interfaces(kernel: Kernel, module: str) -> Iterator[str]:
    for interface in _names(kernel, "/sys/class/net"):
        try:
            link = kernel.read_link(f"/sys/class/net/{interface}/device/driver/module")
        except OSError:
            continue
        if os.path.basename(link) == module:
            yield f"the network interface {interface}"
