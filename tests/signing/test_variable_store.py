"""A MOK put into the firmware's variable store, as virt-firmware's own tool puts it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lkm.errors import FormatError
from lkm.kernel.vm import firmware
from lkm.signing import certificate, efi, variable_store
from tests.support.signing import Workshop, run


def test_the_mok_is_where_shim_looks(shop: Workshop, tmp_path: Path) -> None:
    mok = certificate.load(shop.mok.der)
    store = variable_store.with_mok(firmware.variable_template().read_bytes(), mok)
    assert variable_store.mok_list(store) == (efi.EfiSignature(efi.X509, efi.SHIM, mok.encoded),)
    tool = Path(os.path.dirname(sys.executable), "virt-fw-vars")
    theirs = tmp_path / "store"
    command = (tool, "-i", firmware.variable_template(), "-o", theirs)
    run(*command, "--add-mok", efi.SHIM, shop.mok.pem)
    assert store == theirs.read_bytes()


def test_the_same_key_gives_the_same_store(shop: Workshop) -> None:
    """What the snapshots of machines are found by."""
    mok, template = certificate.load(shop.mok.der), firmware.variable_template().read_bytes()
    assert variable_store.with_mok(template, mok) == variable_store.with_mok(template, mok)


def test_an_empty_store_has_no_mok() -> None:
    assert variable_store.mok_list(firmware.variable_template().read_bytes()) == ()


@pytest.mark.parametrize("store", [b"", bytes(4096), b"\xff" * 100_000])
def test_what_is_no_store_is_refused(store: bytes, shop: Workshop) -> None:
    with pytest.raises(FormatError, match="an EFI variable store"):
        variable_store.with_mok(store, certificate.load(shop.mok.der))
