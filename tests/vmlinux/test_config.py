"""The configuration: from a file, from the image, damaged."""

from __future__ import annotations

import gzip

import pytest

from lkm.errors import FormatError
from lkm.vmlinux import config
from lkm.vmlinux.image import open_cached
from tests.support.kernels import KernelFiles, fetched

TEXT = """#
# Automatically generated file; DO NOT EDIT.
#
CONFIG_MODULES=y
CONFIG_E1000=m
# CONFIG_MODULE_FORCE_LOAD is not set
CONFIG_HZ=250
CONFIG_LOCALVERSION="-a \\"b\\" \\\\c"
CONFIG_EMPTY=""
"""
OPTIONS = {
    "CONFIG_MODULES": "y",
    "CONFIG_E1000": "m",
    "CONFIG_MODULE_FORCE_LOAD": "n",
    "CONFIG_HZ": "250",
    "CONFIG_LOCALVERSION": '-a "b" \\c',
    "CONFIG_EMPTY": "",
}


def test_parse() -> None:
    assert config.parse(TEXT) == OPTIONS
    assert config.parse("garbage\0\xff=\nCONFIG_=\n") == {}


def test_embedded() -> None:
    image = b"text" + b"IKCFG_ST" + gzip.compress(TEXT.encode()) + b"IKCFG_ED" + b"more"
    assert config.embedded(image) == OPTIONS
    assert config.embedded(b"nothing here") is None


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b\x08", b"not gzip at all"])
def test_embedded_and_damaged(damage: bytes) -> None:
    with pytest.raises(FormatError):
        config.embedded(b"IKCFG_ST" + damage + b"IKCFG_ED")


@pytest.mark.parametrize("kernel", fetched(), ids=lambda kernel: kernel.release)
def test_real(kernel: KernelFiles) -> None:
    options = open_cached(kernel.vmlinuz).config
    assert options["CONFIG_MODULES"] == "y"
    assert options["CONFIG_SQUASHFS"] == "m"
    (path,) = kernel.vmlinuz.parent.glob("config*")
    assert len(options) == sum("CONFIG_" in line for line in path.read_text().splitlines())
