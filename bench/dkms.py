"""DKMS's job: ``lkm dkms`` against Debian's dkms and the bare ``make``, in the same run."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.common import Row, Timing, alternate, bounded, time_process
from tests.support.dkms import World, missing, real_dkms
from tests.support.kernels import KernelFiles, kernel_files
from tests.support.trees import kmod_depmod, linked_tree

TINY = 10
STUB_KERNELS = ("6.1.0-1-test", "6.1.0-2-test", "6.1.0-4-test")
SOURCE = '#include <linux/module.h>\nMODULE_LICENSE("GPL");\nMODULE_VERSION("1.0");\n'


@dataclass
class Program:
    """One of the two programs in a world of its own."""

    words: list[str]
    world: World
    environment: dict[str, str]
    indexes: bool = False
    """Whether the world's kernels are to be seen as /lib/modules, where dkms runs depmod."""

    def run(self, *words: str) -> Timing:
        world = self.world
        trees = ["--dkmstree", str(world.dkms_tree), "--sourcetree", str(world.source_tree)]
        command = [*self.words, *words, *trees]
        if self.indexes:
            command = _within(world, command)
        else:
            command += ["--installtree", str(world.install_tree)]
        return time_process(command, env=self.environment, cwd=world.root)


def _within(world: World, command: list[str]) -> list[str]:
    """Return ``command`` such that it sees the world's kernels as /lib/modules."""
    return ["unshare", "-m", "sh", "-c", _MOUNT, "sh", str(world.root), *command]


_MOUNT = """\
set -e
mount --make-rprivate /
root=$1; shift
mkdir -p "$root/over"
mount -t tmpfs over "$root/over"
mkdir "$root/over/upper" "$root/over/work"
mount -t overlay over /usr/lib \\
    -o "lowerdir=/usr/lib,upperdir=$root/over/upper,workdir=$root/over/work"
mkdir -p /usr/lib/modules
mount --bind "$root/lib/modules" /usr/lib/modules
exec "$@"
"""


def _programs(folder: Path) -> tuple[Program, Program]:
    kept = {"LC_ALL": "C.UTF-8", "XDG_CACHE_HOME": str(folder / "cache")}
    environment = {**os.environ, **kept}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    lkm = [os.path.join(os.path.dirname(sys.executable), "lkm"), "dkms"]
    ours = Program(lkm, World(folder / "ours"), environment)
    return ours, Program(["bash", str(real_dkms())], World(folder / "theirs"), environment)


def _add_kernel(world: World, kernel: KernelFiles) -> None:
    """Give a world the real kernel: its modules as links, its headers, its index."""
    root = world.root.parent / f"{world.root.name}-kernel"
    folder = linked_tree(kernel, root)
    kmod_depmod(root, kernel.release)
    target = world.install_tree / kernel.release
    folder.rename(target)
    (target / "build").unlink(missing_ok=True)
    (target / "build").symlink_to(kernel.headers)


def _add_real_source(world: World, name: str) -> None:
    folder = world.source_tree / f"{name}-1.0"
    folder.mkdir()
    (folder / f"{name}.c").write_text(SOURCE)
    (folder / "Makefile").write_text(f"obj-m := {name}.o\n")
    (folder / "dkms.conf").write_text(
        f'PACKAGE_NAME="{name}"\nPACKAGE_VERSION="1.0"\nBUILT_MODULE_NAME[0]="{name}"\n'
        'DEST_MODULE_LOCATION[0]="/extra"\nAUTOINSTALL="yes"\n'
    )


def _fill(folder: Path, kernel: KernelFiles) -> None:
    """Give a kernel without modules the names of a real one's: dkms looks through all of them."""
    for line in (kernel.modules / "modules.order").read_text().splitlines():
        path = folder / line
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _status(folder: Path, kernel: KernelFiles) -> Iterator[Row]:
    """Ten packages installed for three kernels, then asked for; and nothing to be installed."""
    programs = _programs(folder)
    for program in programs:
        for release in STUB_KERNELS[2:]:
            program.world.add_kernel(release)
        for release in STUB_KERNELS:
            _fill(program.world.install_tree / release, kernel)
        for place in range(TINY):
            program.world.add_source(f"m{place}", module_version="1.0")
            targets = [word for release in STUB_KERNELS for word in ("-k", release)]
            program.run("install", f"m{place}/1.0", *targets)
    ours, theirs = programs
    mine, peer = alternate(lambda: ours.run("status"), lambda: theirs.run("status"), 3)
    name = f"status, {TINY} packages × {len(STUB_KERNELS)} kernels"
    yield bounded(name, mine.cpu, unit="s CPU", most=0.05, peer=peer.cpu)
    words = ("autoinstall", "-k", STUB_KERNELS[0])
    mine, peer = alternate(lambda: ours.run(*words), lambda: theirs.run(*words), 3)
    yield bounded("autoinstall, nothing to do", mine.cpu, unit="s CPU", most=0.5, peer=peer.cpu)


def _one_module(folder: Path, kernel: KernelFiles) -> Iterator[Row]:
    """One file added, built, signed and installed, over the bare make."""
    ours, theirs = _programs(folder)
    for program in (ours, theirs):
        program.indexes = True
        _add_kernel(program.world, kernel)
        _add_real_source(program.world, "tiny")
        program.environment.update(_signing(program.world))
    bare = folder / "bare"

    def make() -> Timing:
        shutil.rmtree(bare, ignore_errors=True)
        shutil.copytree(ours.world.source_tree / "tiny-1.0", bare)
        command = ["make", "-C", str(kernel.headers), f"M={bare}"]
        return time_process(_within(ours.world, command), env=ours.environment)

    def install(program: Program) -> Timing:
        shutil.rmtree(program.world.dkms_tree / "tiny", ignore_errors=True)
        shutil.rmtree(program.world.install_tree / kernel.release / "updates", ignore_errors=True)
        return program.run("install", "tiny/1.0", "-k", kernel.release)

    mine, plain = alternate(lambda: install(ours), make, 3)
    name = "one file added, built, signed, installed, over the bare make"
    yield bounded(name, mine.cpu, unit="s CPU", most=1.1, peer=plain.cpu)
    peer, _ = alternate(lambda: install(theirs), make, 3)
    yield bounded("the same, over dkms", mine.cpu, unit="s CPU", most=1.0, peer=peer.cpu)


def _signing(world: World) -> dict[str, str]:
    key, certificate = world.root / "mok.key", world.root / "mok.pub"
    return {
        "try_sign_modules": "true",
        "mok_signing_key": str(key),
        "mok_certificate": str(certificate),
    }


def _ten_modules(folder: Path, kernel: KernelFiles) -> Iterator[Row]:
    ours, theirs = _programs(folder)
    names = [f"tiny{place}" for place in range(TINY)]
    for program in (ours, theirs):
        program.indexes = True
        _add_kernel(program.world, kernel)
        for name in names:
            _add_real_source(program.world, name)
            program.run("add", f"{name}/1.0")
    words = ("autoinstall", "-k", kernel.release)
    mine, peer = ours.run(*words), theirs.run(*words)
    name = f"autoinstall of {TINY} one-file packages"
    yield bounded(name, mine.wall, unit="s", most=0.5, peer=peer.wall)
    yield bounded(f"{name}, CPU", mine.cpu, unit="s CPU", most=1.0, peer=peer.cpu)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lkm-bench-dkms-") as folder:
        yield Path(folder)


def measure() -> list[Row]:
    reason = missing()
    if reason:
        raise SystemExit(reason)
    kernel = kernel_files()
    rows: list[Row] = []
    with _folder() as folder:
        rows += _status(folder, kernel)
    with _folder() as folder:
        rows += _one_module(folder, kernel)
    with _folder() as folder:
        rows += _ten_modules(folder, kernel)
    return rows
