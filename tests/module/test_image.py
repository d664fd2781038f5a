import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lkm.errors import FormatError
from lkm.module.compression import Compression, compress
from lkm.module.image import ModuleImage, name_of
from tests.support import modules
from tests.support.kernels import kernel_files


def test_modinfo_is_what_kmod_reads() -> None:
    path = modules.distributed("e1000e")
    image = ModuleImage.open(path)
    shown = subprocess.run(["modinfo", "-F", "alias", path], capture_output=True, check=True)
    assert image.aliases == tuple(shown.stdout.decode().split())
    assert image.licence == "GPL v2"
    assert image.name == "e1000e"
    assert image.vermagic is not None
    assert image.vermagic.release == kernel_files().release
    assert image.vermagic.words == ("SMP", "preempt", "mod_unload", "modversions")


def test_names_are_kmods() -> None:
    assert name_of("/x/snd-hda-intel.ko.xz") == "snd_hda_intel"
    assert name_of("8021q.ko") == "8021q"


@pytest.mark.parametrize("kind", list(Compression))
def test_a_packed_module_says_the_same(kind: Compression, tmp_path: Path) -> None:
    plain = ModuleImage.open(modules.distributed("scsi_mod"))
    path = tmp_path / f"scsi_mod.ko{kind.suffix}"
    path.write_bytes(compress(plain.payload, kind))
    image = ModuleImage.open(path)
    assert image.compression is kind
    assert image.payload == plain.payload
    assert (image.modinfo, image.exports, image.imports) == (
        plain.modinfo,
        plain.exports,
        plain.imports,
    )


def test_text_is_not_a_module() -> None:
    with pytest.raises(FormatError, match="ELF magic") as caught:
        ModuleImage.from_bytes(b"#!/bin/sh\n" * 20, "x.ko").modinfo.get("x")
    assert caught.value.hint


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_at_once(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "x.ko")
    with pytest.raises(FormatError, match="a regular file"):
        ModuleImage.open(tmp_path / "x.ko")


def test_a_file_is_closed_with_its_image() -> None:
    before = len(os.listdir("/proc/self/fd"))
    images = [ModuleImage.open(modules.distributed("dummy")) for _ in range(3)]
    assert len(os.listdir("/proc/self/fd")) == before + 3
    images.pop().close()
    assert len(os.listdir("/proc/self/fd")) == before + 2
    images.clear()
    assert len(os.listdir("/proc/self/fd")) == before
