"""Options of a kernel's configuration: y, m or n, and what comes of it; the line of booting.

Which modules an option makes is written in the kernel's Makefiles, which distributions do not ship:
here they are found by name, and what that does not find is not shown.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from lkm.errors import NotFoundError
from lkm.kernels.choose import choose_bootable
from lkm.kernels.known import KnownKernel
from lkm.module.image import ModuleImage
from lkm.module.names import module_name
from lkm.vmlinux.config import parse
from lkm.vmlinux.image import open_cached
from lkm.web.contract.requests import BootQuestion, OptionQuestion, OptionsQuestion
from lkm.web.contract.tree_answers import (
    BootLine,
    BootStep,
    OptionFacts,
    OptionHead,
    OptionModule,
    Options,
)
from lkm.web.views.state import Surroundings

_MOST = 60
# Affixes of option names that are not in the names of their modules.
_AFFIXES = re.compile(r"^(?:net|blk_dev|scsi|sata|snd|drm|crypto|usb|hid|fs)_|_(?:fs|core|driver)$")
_ROOT_FOLDERS = (
    *("fs/", "drivers/ata/", "drivers/scsi/", "drivers/nvme/", "drivers/block/", "drivers/md/"),
    *("drivers/virtio/", "drivers/usb/storage/", "drivers/mmc/"),
)


class _Kernel:
    """A kernel's configuration and the names of its modules, as files and built in."""

    def __init__(self, kernel: KnownKernel) -> None:
        self.kernel = kernel
        self.config = _config(kernel)
        self.directory = kernel.modules
        self.files = self._names("modules.order", "modules.dep")
        self.builtin = self._names("modules.builtin")

    def _names(self, *names: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for name in names:
            path = self.directory / name if self.directory else None
            if path is not None and path.is_file():
                for line in path.read_text(encoding="utf-8").splitlines():
                    file = line.partition(":")[0]
                    found.setdefault(module_name(file), file)
        return found

    def modules_of(self, option: str) -> tuple[str, ...]:
        """Return the modules that bear the option's name."""
        name = option.removeprefix("CONFIG_").lower()
        tried = [name, _AFFIXES.sub("", name)]
        return tuple(dict.fromkeys(n for n in tried if n in self.files or n in self.builtin))

    def describe(self, name: str) -> OptionModule:
        """Return what is known of a module."""
        path = self._path(name)
        if path is None:
            return OptionModule(name, name in self.builtin, "", 0, 0, 0)
        memory = ModuleImage.open(path).memory
        inside = os.path.relpath(path, self.directory)
        return OptionModule(name, False, inside, path.stat().st_size, memory.core, memory.init)

    def _path(self, name: str) -> Path | None:
        listed = self.files.get(name)
        if listed is None or self.directory is None:
            return None
        path = self.directory / listed
        found = [path, *(path.with_name(path.name + s) for s in (".xz", ".zst", ".gz"))]
        return next((each for each in found if each.is_file()), None)


def options(question: OptionsQuestion, _surroundings: Surroundings) -> Options:
    """Return the options whose name or module has the text, modules first."""
    kernel = _Kernel(choose_bootable(question.kernel))
    text = question.search.strip().removeprefix("CONFIG_").lower()
    found = [
        OptionHead(name, value, kernel.modules_of(name))
        for name, value in kernel.config.items()
        if text in name.lower().removeprefix("config_")
        or any(text in module for module in kernel.modules_of(name))
    ]
    exact = f"CONFIG_{text.upper()}"
    found.sort(key=lambda head: (head.name != exact, not head.modules, len(head.name), head.name))
    return Options(kernel.kernel.release, tuple(found[:_MOST]), len(found))


def option(question: OptionQuestion, _surroundings: Surroundings) -> OptionFacts:
    """Return what an option is in a kernel, and what comes of it."""
    kernel = _Kernel(choose_bootable(question.kernel))
    name = f"CONFIG_{question.name.removeprefix('CONFIG_')}"
    if name not in kernel.config and name.upper() in kernel.config:
        name = name.upper()
    value = kernel.config.get(name)
    if value is None:
        raise NotFoundError(
            f"{kernel.kernel.release} has no option {name}",
            hint="its configuration lists what it could have been built with",
        )
    modules = tuple(map(kernel.describe, kernel.modules_of(name)))
    needed, why = _needed(value, modules)
    return OptionFacts(
        name=name,
        value=value,
        release=kernel.kernel.release,
        prompt="",
        where=_where(value, modules),
        modules=modules,
        needed_for_root=needed,
        needed_why=why,
        aliases=_aliases(kernel, modules),
        command=f"grep -w {name} {_config_path(kernel.kernel)}",
    )


def boot(question: BootQuestion, _surroundings: Surroundings) -> BootLine:
    """Return how a kernel comes to its root, with and without an initramfs."""
    kernel = _Kernel(choose_bootable(question.kernel))
    built_in, as_files = len(kernel.builtin), len(kernel.files)
    rows = [
        ("firmware", "starts the boot loader", "the machine's flash"),
        ("boot loader", _loader(question.initramfs), "the EFI partition, /boot"),
        ("kernel", "unpacks itself and sets up memory and processors", "vmlinuz"),
        ("initcalls", f"{built_in} built-in modules are initialised, level by level", "vmlinuz"),
    ]
    if question.initramfs:
        asked = f"udev loads what devices ask for, of the few of {as_files} packed there"
        rows += [
            ("initramfs", "is unpacked into memory; its /init runs", "the initramfs"),
            ("modules", asked, "the initramfs"),
        ]
    missing = "" if question.initramfs else "; its driver and file system must be built in"
    rows += [
        ("root", f"the root file system is mounted{missing}", "the disk"),
        ("init", "runs; udev loads the rest, from /lib/modules", "the root"),
    ]
    steps = [BootStep(name, what, None, where) for name, what, where in rows]
    root = "by UUID, LVM, RAID, LUKS or network" if question.initramfs else "a plain partition"
    command = f"ls /lib/modules/{kernel.kernel.release}"
    return BootLine(kernel.kernel.release, question.initramfs, root, tuple(steps), command)


def _loader(initramfs: bool) -> str:
    what = "the kernel and the initramfs" if initramfs else "the kernel"
    return f"reads {what} into memory and jumps there"


def _config(kernel: KnownKernel) -> dict[str, str]:
    path = Path(_config_path(kernel))
    if path.is_file():
        return parse(path.read_text(encoding="utf-8", errors="replace"))
    return dict(open_cached(kernel.vmlinuz or "").config or {})


def _config_path(kernel: KnownKernel) -> str:
    return os.fspath(kernel.root / "boot" / f"config-{kernel.release}")


def _where(value: str, modules: tuple[OptionModule, ...]) -> str:
    if value == "y":
        return "inside vmlinuz: there from the first moment, and for good"
    if value == "m":
        names = ", ".join(each.path for each in modules if each.path)
        return f"a file, loaded when it is asked for: {names}" if names else "a file"
    return "nowhere: it was not built" if value == "n" else "a value compiled into the kernel"


def _needed(value: str, modules: tuple[OptionModule, ...]) -> tuple[bool | None, str]:
    """Say whether it must be there before the root; ``None`` where that depends on the machine."""
    if value == "y":
        return False, "it is in the kernel image: nothing has to be brought"
    if value != "m":
        return False, "there is nothing to bring"
    if any(each.path.removeprefix("kernel/").startswith(_ROOT_FOLDERS) for each in modules):
        return None, "only where the root lies on it: then its file must be in the initramfs"
    return False, "no root file system lies on it: it is loaded from the root itself"


def _aliases(kernel: _Kernel, modules: tuple[OptionModule, ...]) -> int:
    names = {module.name for module in modules}
    path = kernel.directory / "modules.alias" if kernel.directory else None
    if not names or path is None or not path.is_file():
        return 0
    with path.open(encoding="utf-8") as file:
        return sum(line.rstrip("\n").rpartition(" ")[2] in names for line in file)
