"""What the doctor predicts and what a real kernel does, side by side."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from lkm.doctor.case import Case as Judged
from lkm.doctor.judge import Judgement, judge
from lkm.doctor.target import Target, TreeFacts
from lkm.doctor.target_image import read_image
from lkm.doctor.target_kernel import read_kernel
from lkm.doctor.target_tree import tree_of
from lkm.elf.source import BytesSource
from lkm.kernel.kernel import Kernel
from lkm.kernel.syscalls import SyscallOutcome
from lkm.module.image import ModuleImage
from tests.doctor.mutations import Case, Module
from tests.support.kernels import KernelFiles
from tests.support.modules import built


@dataclass(frozen=True, slots=True)
class Reality:
    """What the kernel answered: errno (0: loaded), the signal that killed the task, its log."""

    errno: int
    signal: int
    log: tuple[str, ...]


@functools.cache
def tree(files: KernelFiles) -> TreeFacts:
    return tree_of(str(files.modules))


def target_of(kernel: Kernel, files: KernelFiles) -> Target:
    return read_kernel(kernel, read_image(files.vmlinuz), tree(files))


def predict(case: Case, target: Target) -> Judgement:
    for path in case.before:
        target = target.with_loaded(ModuleImage.open(path))
    image = ModuleImage(BytesSource(case.data, str(case.path)))
    return judge(Judged(image, target, case.data, case.parameters))


def load(case: Case, kernel: Kernel) -> Reality:
    """Load what the case wants there before, then the module itself."""
    for path in case.before:
        if not kernel.is_loaded(ModuleImage.open(path).name):
            kernel.load(path)
    with kernel.watch_log() as watch:
        outcome = _finit(kernel, case.data, case.parameters)
        return Reality(outcome.errno, outcome.signal, tuple(r.text for r in watch.new_records()))


def _finit(kernel: Kernel, data: bytes, parameters: str) -> SyscallOutcome:
    """finit_module, as insmod and modprobe do it, with the very bytes."""
    path = "/tmp/case.ko"
    kernel.write_file(path, data, create=True)
    descriptor = kernel.syscalls.open(path, os.O_RDONLY)
    try:
        return kernel.syscalls.finit_module(descriptor, parameters, 0)
    finally:
        kernel.syscalls.close(descriptor)
        kernel.syscalls.unlink(path)


def disagreement(prediction: Judgement, reality: Reality) -> str:
    """Say how the two differ, "" where they agree in verdict, errno and the decisive log line."""
    if reality.signal:
        return f"killed by signal {reality.signal}"
    if prediction.errno != reality.errno:
        return f"predicted errno {prediction.errno}, the kernel answered {reality.errno}"
    message = prediction.decisive.message if prediction.decisive else ""
    if message and not any(message in line for line in reality.log):
        return f"predicted the line {message!r}"
    return ""


def needs(module: Path, files: KernelFiles) -> tuple[Path, ...]:
    """The files of what a module of the tree needs, deepest first."""
    found: dict[str, Path] = {}

    def add(path: Path) -> None:
        image = ModuleImage.open(path)
        soft = [name for text in image.softdeps for name in text.removeprefix("pre:").split()]
        # a soft dependency is an alias; a cipher's plain implementation is called so
        before = [f"{name}_generic" for name in soft if f"{name}_generic" in tree(files).modules]
        for name in (*before, *image.depends):
            dependency = Path(tree(files).modules[name.replace("-", "_")])
            if name not in found:
                add(dependency)
                found.setdefault(name, dependency)

    add(module)
    return tuple(found.values())


OURS = ("hello", "params", "exporter", "importer", "proprietary", "described", "busy", "no_exit")
THEIRS = (
    "loop", "crc7", "crc8", "crc_itu_t", "libarc4", "lz4_compress", "lz4hc_compress",
    "poly1305_generic",
    "ext4", "vfat", "isofs", "udf", "squashfs", "overlay", "fuse", "nls_utf8", "nls_cp437",
    "dummy", "tun", "bridge", "8021q", "veth", "macvlan", "vxlan", "bonding", "nf_conntrack",
    "nf_tables", "ip_tables", "x_tables", "dm_mod", "dm_crypt", "raid1", "md_mod", "linear",
    "sctp", "snd", "snd_pcm", "snd_dummy", "uinput", "usbcore", "usbhid",
    "cdrom", "sg", "sr_mod", "st", "zram", "zsmalloc", "brd", "nbd",
)  # fmt: skip


def ours(files: KernelFiles) -> tuple[Module, ...]:
    """Our own modules, built for that kernel, that load as they are."""
    found = {name: built(name, files) for name in OURS}
    needs = {"importer": (found["exporter"],)}
    return tuple(Module(path, needs.get(name, ())) for name, path in found.items())


def modules(files: KernelFiles) -> tuple[Module, ...]:
    """Fifty-odd modules that load: our own, and Debian's."""
    paths = [Path(tree(files).modules[name]) for name in THEIRS if name in tree(files).modules]
    return (*ours(files), *(Module(path, needs(path, files)) for path in paths))
