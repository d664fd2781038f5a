"""A fetched kernel's modules are indexed when it is first used, once, whoever asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lkm.kernels.fetch import ensure_indexes, indexed_kernel
from lkm.kernels.known import KnownKernel, find_kernel
from lkm.tree.resolver import Resolver
from lkm.tree.root import Root
from tests.support.kernels import KernelFiles

_INPUTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")


@pytest.fixture
def fetched(kernel: KernelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fetched kernel with a few modules and no indexes."""
    root = tmp_path / "lkm/kernels" / kernel.release
    modules = root / "lib/modules" / kernel.release
    for path in (*kernel.modules.glob("kernel/fs/fat/*"), *kernel.modules.glob("kernel/fs/nls/*")):
        target = modules / path.relative_to(kernel.modules)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    for name in _INPUTS:
        (modules / name).symlink_to(kernel.modules / name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return root


def test_indexed_once(fetched: Path) -> None:
    known = find_kernel(fetched.name)
    told: list[str] = []
    indexed_kernel(known, lambda what, *_: told.append(what))
    assert told
    steps = Resolver(Root(fetched, fetched.name)).resolve("vfat").steps
    assert [step.module for step in steps] == ["fat", "vfat"]
    written = (known.modules or fetched) / "modules.dep.bin"
    before = written.stat()
    indexed_kernel(known, lambda what, *_: pytest.fail(what))
    assert written.stat() == before


def test_what_is_not_our_own_is_left_alone(fetched: Path) -> None:
    modules = fetched / "lib/modules" / fetched.name
    indexed_kernel(KnownKernel(fetched.name, fetched, None, modules, None, fetched=False))
    assert not (modules / "modules.dep.bin").exists()


def test_without_modules(tmp_path: Path) -> None:
    ensure_indexes(tmp_path, "6.1.0-none")
    assert not list(tmp_path.iterdir())


def test_many_at_once(fetched: Path) -> None:
    script = (
        "import sys\n"
        "from lkm.kernels.fetch import indexed_kernel\n"
        "from lkm.kernels.known import find_kernel\n"
        "indexed_kernel(find_kernel(sys.argv[1]))\n"
        "from lkm.tree.root import Root; from lkm.tree.resolver import Resolver\n"
        "print(len(Resolver(Root(sys.argv[2], sys.argv[1])).resolve('vfat').steps))"
    )
    command = [sys.executable, "-c", script, fetched.name, str(fetched)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[0] for process in running] == ["2\n"] * 4
