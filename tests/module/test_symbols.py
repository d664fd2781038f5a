import subprocess

import pytest

from lkm.module.image import ModuleImage
from tests.support import modules
from tests.support.kernels import kernel_files

NAMES = ("scsi_mod", "e1000e", "nvme", "usbcore", "mac80211", "idxd", "intel_vsec", "dummy")


def symvers() -> dict[tuple[str, str], tuple[int, str, str]]:
    """(module path, symbol) → CRC, export type and namespace, as the kernel's build wrote them."""
    table = {}
    for line in (kernel_files().headers / "Module.symvers").read_text().splitlines():
        crc, symbol, module, kind, namespace = (line + "\t").split("\t")[:5]
        table[module, symbol] = int(crc, 16), kind, namespace
    return table


@pytest.mark.parametrize("name", NAMES)
def test_exports_are_those_of_module_symvers(name: str) -> None:
    path = modules.distributed(name)
    key = str(path.relative_to(kernel_files().modules / "kernel"))[:-3]
    expected = {s: value for (module, s), value in symvers().items() if module == key}
    ours = {
        e.name: (e.crc, "EXPORT_SYMBOL_GPL" if e.gpl else "EXPORT_SYMBOL", e.namespace)
        for e in ModuleImage.open(path).exports
    }
    assert ours == expected


@pytest.mark.parametrize("name", NAMES)
def test_imports_are_what_nm_finds_undefined(name: str) -> None:
    path = modules.distributed(name)
    listed = subprocess.run(["nm", "-pu", path], capture_output=True, check=True, text=True)
    expected = [tuple(line.split()) for line in listed.stdout.splitlines()]
    ours = ModuleImage.open(path).imports
    assert [("w" if i.weak else "U", i.name) for i in ours] == expected


@pytest.mark.parametrize("name", NAMES)
def test_wanted_crcs_are_what_modprobe_dumps(name: str) -> None:
    path = modules.distributed(name)
    dump = subprocess.run(
        ["modprobe", "--dump-modversions", path], capture_output=True, check=True, text=True
    )
    expected = {
        line.split("\t")[1]: int(line.split("\t")[0], 16) for line in dump.stdout.split("\n")[:-1]
    }
    image = ModuleImage.open(path)
    assert dict(image.versions) == expected
    assert {i.name: i.crc for i in image.imports}.items() <= expected.items()


@pytest.mark.full
def test_exports_of_every_module() -> None:
    root = kernel_files().modules / "kernel"
    expected = {key: value for key, value in symvers().items() if key[0] != "vmlinux"}
    ours = {}
    for path in root.rglob("*.ko"):
        for export in ModuleImage.open(path).exports:
            kind = "EXPORT_SYMBOL_GPL" if export.gpl else "EXPORT_SYMBOL"
            key = str(path.relative_to(root))[:-3], export.name
            ours[key] = export.crc, kind, export.namespace
    assert len(ours) > 10_000
    assert ours == expected


@pytest.mark.full
def test_every_wanted_crc_is_the_one_its_provider_has() -> None:
    crcs = {symbol: crc for (_, symbol), (crc, _, _) in symvers().items()}
    wanted = 0
    for path in kernel_files().modules.rglob("*.ko"):
        for needed in ModuleImage.open(path).imports:
            assert needed.crc == crcs[needed.name], (path, needed)
            wanted += 1
    assert wanted > 150_000
