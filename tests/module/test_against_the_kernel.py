"""Facts a kernel also has, once it has loaded the module: memory, defaults, permissions, taints."""

import random
from pathlib import Path

import pytest

from lkm import taint
from lkm.errors import KernelError
from lkm.kernel.open import open_kernel
from lkm.module.image import ModuleImage
from tests.support import modules
from tests.support.kernels import SERIES, KernelFiles, kernel_files

OWN = ("hello", "params", "exporter", "busy", "no_exit", "described", "allocates", "proprietary")


def distribution_modules(kernel: KernelFiles) -> list[Path]:
    paths = sorted(kernel.modules.rglob("*.ko*"))
    chosen = random.Random(9).sample(paths, 120)
    return [path for path in chosen if not ModuleImage.open(path).depends][:25]


@pytest.mark.parametrize("series", SERIES)
def test_memory_is_what_lsmod_shows(series: str) -> None:
    kernel = kernel_files(series)
    own = map(modules.built, OWN) if series == "6.1." else ()
    compared = 0
    with open_kernel(f"emulated:{kernel.release}") as machine:
        for path in [*own, *distribution_modules(kernel)]:
            image = ModuleImage.open(path)
            try:
                machine.load(image)
            except KernelError:
                continue  # no such device
            name = image.modinfo.get("name")
            shown = {module.name: module.size for module in machine.modules()}
            assert shown[str(name)] == image.memory.core, path
            compared += 1
    assert compared > 15


def test_defaults_and_permissions_are_those_in_sysfs(kernel: KernelFiles) -> None:
    path = modules.built("params")
    folder = "/sys/module/params/parameters"
    with open_kernel(f"emulated:{kernel.release}") as machine:
        machine.load(str(path))
        shown = {
            name: (
                machine.syscalls.stat(f"{folder}/{name}").mode & 0o777,
                machine.read_file(f"{folder}/{name}").decode().rstrip("\n"),
            )
            for name in machine.syscalls.readdir(folder)
        }
    parameters = ModuleImage.open(path).parameters
    expected = {p.name: (p.permission, p.default) for p in parameters if p.permission}
    assert shown.keys() == expected.keys()
    for name, (mode, text) in shown.items():
        permission, default = expected[name]
        assert mode == permission
        if default is not None:
            assert text == default, name
    assert sum(default is not None for _, default in expected.values()) > 12


@pytest.mark.parametrize("name", ["hello", "proprietary"])
def test_taints(name: str, kernel: KernelFiles) -> None:
    path = modules.built(name)
    with open_kernel(f"emulated:{kernel.release}") as machine:
        machine.load(str(path))
        shown = machine.read_file(f"/sys/module/{name}/taint").decode().strip()
    ours = {flag.letter for flag in ModuleImage.open(path).taints}
    # E is not the module's own doing: this kernel has no key for it.
    assert {flag.letter for flag in taint.from_letters(shown)} == ours | {"E"}
