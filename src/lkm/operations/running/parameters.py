"""A module's parameters: their values now, what they are, what is configured for a load."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from lkm.errors import FormatError, NotFoundError
from lkm.kernel.kernel import Kernel
from lkm.kernels.known import find_kernel
from lkm.module.image import ModuleImage
from lkm.module.names import normalize
from lkm.module.parameters import Parameter
from lkm.operations import modinfo
from lkm.tree.config import kernel_options, read_config
from lkm.tree.root import Root


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that configuration gives, and the file and line (or command line) that does."""

    value: str
    source: str


@dataclass(frozen=True, slots=True)
class ParameterState:
    """One parameter; ``None`` where the value is not known.

    ``value`` is what the kernel shows now, ``permission`` the mode of its file in /sys/module (0:
    it has none), ``default`` the value in the module's file, ``settings`` what is configured for
    the next load, the last of them winning.
    """

    name: str
    value: str | None = None
    type: str | None = None
    permission: int | None = None
    description: str | None = None
    default: str | None = None
    settings: tuple[Setting, ...] = ()


def parameters(kernel: Kernel, module: str) -> tuple[ParameterState, ...]:
    """Return the parameters of ``module``, loaded in ``kernel`` or in its module tree.

    NotFoundError when neither knows the module.
    """
    name = normalize(module)
    values = _values(kernel, name)
    described = {parameter.name: parameter for parameter in _described(kernel, name)}
    if values is None and not described and not _in_tree(kernel, name):
        raise NotFoundError(f"{kernel.name} has no module {module}, nor has its module tree")
    settings = _settings(kernel, name)
    names = dict.fromkeys([*described, *(values or {})])
    found = []
    for parameter in names:
        state = _state(parameter, described.get(parameter))
        value, permission = (values or {}).get(parameter, (None, state.permission))
        chosen = tuple(setting for key, setting in settings if key == parameter)
        found.append(replace(state, value=value, permission=permission, settings=chosen))
    return tuple(found)


def _state(name: str, parameter: Parameter | None) -> ParameterState:
    if parameter is None:
        return ParameterState(name)
    return ParameterState(
        name,
        type=parameter.type,
        permission=parameter.permission,
        description=parameter.description,
        default=parameter.default,
    )


def _values(kernel: Kernel, module: str) -> dict[str, tuple[str | None, int]] | None:
    """Return value and permission of what the kernel shows, ``None`` for an unknown module."""
    folder = f"/sys/module/{module}"
    if not kernel.exists(folder):
        return None
    values = kernel.parameters(module)
    names: Iterable[str] = ()
    with contextlib.suppress(OSError):
        names = kernel.list_directory(f"{folder}/parameters")
    return {
        name: (values.get(name), kernel.stat(f"{folder}/parameters/{name}").mode & 0o777)
        for name in names
    }


def _directory(kernel: Kernel) -> str:
    """Return the ``lib/modules/RELEASE`` of the kernel, whether or not it is there."""
    if not kernel.syscalls.shares_host_files:
        with contextlib.suppress(NotFoundError):
            known = find_kernel(kernel.release)
            return os.fspath(known.modules or "")
    return Root("/", kernel.release).modules_directory


def _found(kernel: Kernel, module: str) -> modinfo.Found | None:
    try:
        return modinfo.find(module, _directory(kernel), only_name=True)[0]
    except (NotFoundError, OSError):
        return None


def _in_tree(kernel: Kernel, module: str) -> bool:
    return _found(kernel, module) is not None


def _described(kernel: Kernel, module: str) -> tuple[Parameter, ...]:
    found = _found(kernel, module)
    if found is None or found.path is None:
        return ()
    try:
        return ModuleImage.open(found.path).parameters
    except (FormatError, OSError):
        return ()  # what the kernel shows is still worth showing


def _settings(kernel: Kernel, module: str) -> list[tuple[str, Setting]]:
    """Return what modprobe would give the module, in its order."""
    if kernel.syscalls.shares_host_files:
        rules = read_config(root=Root("/", kernel.release)).of("options")
    else:
        rules = kernel_options(kernel.command_line.encode())
    return [
        _setting(word, str(rule.source))
        for rule in rules
        if rule.kind == "options" and rule.name == module
        for word in rule.value.split()
    ]


def _setting(option: str, source: str) -> tuple[str, Setting]:
    name, _, value = option.partition("=")
    return normalize(name), Setting(value, source)
