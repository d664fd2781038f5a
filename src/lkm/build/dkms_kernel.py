"""What dkms asks of a kernel: its headers, its configuration, its modules as files."""

from __future__ import annotations

import os

from lkm.build.dkms_conf import config_lines
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKED = (".zst", ".xz", ".gz")
"""The endings of packed modules; the first of which a kernel has any is its own."""

_MODULE_ENDINGS = (".ko", *(f".ko{ending}" for ending in _PACKED))


class KernelTree(Record):
    """A kernel's folder under ``/lib/modules``, its headers and its configuration file."""

    release: str
    folder: str
    headers: str
    config: str

    @property
    def has_headers(self) -> bool:
        """Whether a module can be built for it."""
        return os.path.exists(f"{self.headers}/include")

    def option(self, name: str) -> str:
        """Return a configuration option's text without its quotes, empty where it is not set."""
        start = f"{name}="
        for line in config_lines(self.config):
            if line.startswith(start):
                return line[len(start) :].replace('"', "")
        return ""

    def module_files(self) -> Iterator[str]:
        """Yield the files named like modules, links aside, in the order ``find`` has them."""
        yield from _walk(self.folder)


def kernel_tree(
    install_tree: str, release: str, *, headers: str = "", config: str = ""
) -> KernelTree:
    """Return where a kernel's files are; ``headers`` and ``config`` when the user named others."""
    folder = f"{install_tree}/{release}"
    headers = headers or f"{folder}/build"
    if not config:
        config = f"{headers}/include/config/auto.conf"
        if not os.path.exists(config):
            config = f"{headers}/.config"
    return KernelTree(release, folder, headers, config)


def packed_ending(tree: KernelTree) -> str:
    """Return how the kernel's own modules are packed: ``.zst``, ``.xz``, ``.gz`` or nothing."""
    found = {os.path.splitext(path)[1] for path in tree.module_files()}  # .ko counts for nothing
    return next((ending for ending in _PACKED if ending in found), "")


def find_modules(tree: KernelTree, name: str, ending: str) -> list[str]:
    """Return the kernel's files of a module, packed or not."""
    names = (f"{name}.ko", f"{name}.ko{ending}")
    return [path for path in tree.module_files() if os.path.basename(path) in names]


def module_in(folder: str, name: str, ending: str = "") -> str:
    """Return the file of a module in ``folder``, unpacked before packed; empty when none is."""
    plain = f"{folder}/{name}.ko"
    if os.path.exists(plain):
        return plain
    for candidate in (ending,) if ending else _PACKED:
        if os.path.exists(plain + candidate):
            return plain + candidate
    return ""


def _walk(folder: str) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        elif _is_module_name(entry.name) and entry.is_file(follow_symlinks=False):
            yield entry.path


def _is_module_name(name: str) -> bool:
    return name.endswith(_MODULE_ENDINGS)
