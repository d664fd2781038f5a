"""Behind Secure Boot: what dkms signed is refused, its key enrolled, and then it loads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lkm.operations.trust import secureboot
from tests.support.dkms import World, run
from tests.support.kernels import KernelFiles
from tests.support.modules import SOURCES

CONF = """
PACKAGE_NAME="hello"
PACKAGE_VERSION="1.0"
BUILT_MODULE_NAME[0]="hello"
DEST_MODULE_LOCATION[0]="/extra"
"""


@pytest.mark.full
def test_the_key_of_dkms_is_enrolled(
    kernel: KernelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "world")
    monkeypatch.setenv("try_sign_modules", "true")
    monkeypatch.setenv("mok_signing_key", str(world.root / "mok.key"))
    monkeypatch.setenv("mok_certificate", str(world.root / "mok.pub"))
    target = world.install_tree / kernel.release
    (target / "kernel").mkdir(parents=True)
    (target / "build").symlink_to(kernel.headers)
    source = world.source_tree / "hello-1.0"
    source.mkdir()
    (source / "dkms.conf").write_text(CONF)
    (source / "Makefile").write_text("obj-m := hello.o\n")
    (source / "hello.c").write_bytes((SOURCES / "hello.c").read_bytes())
    words = ("install", "hello/1.0", "-k", kernel.release)
    done = run([sys.executable, "-m", "lkm", "dkms"], world, words, timeout=600)
    assert done.status == 0, done.said
    [module] = (target / "updates").rglob("*.ko")
    trial, known = secureboot.prepare(
        module, release=kernel.release, mok=str(world.root / "mok.pub")
    )
    steps = list(secureboot.rehearse(trial, known))
    assert all(step.ok for step in steps), steps
    assert [step.errno for step in steps if step.errno == 0] == [0]
