"""Decode the oopses in a kernel log."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from lkm.doctor import decode as decoding
from lkm.doctor import oops
from lkm.doctor.decode import DecodedOops
from lkm.doctor.verdict import ModuleRange
from lkm.errors import NotFoundError
from lkm.kernels.known import find_kernel
from lkm.module.image import name_of

__all__ = ["DecodedOops", "ModuleRange", "decode", "module_ranges"]


def decode(
    log: str | Iterable[str],
    *,
    files: Sequence[Path] = (),
    vmlinux: Path | None = None,
    modules: Sequence[ModuleRange] = (),
) -> tuple[DecodedOops, ...]:
    """Return every oops, BUG and warning in ``log``, a text or its lines, decoded, in its order.

    ``files`` are .ko files, or folders to search for them, before the kernels known here;
    ``vmlinux`` is the kernel with debug data; ``modules`` say where modules lay in memory.
    """
    finder = functools.cache(functools.partial(_find, tuple(files), vmlinux))
    return tuple(decoding.decode(report, finder, modules) for report in oops.parse(log))


def module_ranges(proc_modules: str) -> tuple[ModuleRange, ...]:
    """Return where the modules lie, from the text of /proc/modules (as root; 0 is left out)."""
    lines = re.findall(r"^(\S+) (\d+) .* 0x([0-9a-f]+)(?: \(\S+\))?$", proc_modules, re.MULTILINE)
    return tuple(
        ModuleRange(name, int(start, 16), int(size))
        for name, size, start in lines
        if int(start, 16)
    )


def _find(files: Sequence[Path], vmlinux: Path | None, module: str, release: str) -> Path | None:
    if not module:
        return vmlinux or _debug_vmlinux(release)
    for file in files:
        if file.is_file() and name_of(str(file)) == module:
            return file
    return decoding.find_in_tree([*files, *_trees(release)], module)


def _trees(release: str) -> list[Path]:
    """Return the folders with that kernel's modules, those with debug data first."""
    if not release:
        return []
    trees = [Path("/usr/lib/debug/lib/modules", release)]
    try:
        known = find_kernel(release)
    except NotFoundError:
        known = None
    if known is not None and known.release == release and known.modules is not None:
        trees.append(known.modules)
    return trees


def _debug_vmlinux(release: str) -> Path | None:
    candidates = (
        f"/usr/lib/debug/boot/vmlinux-{release}",
        f"/usr/lib/debug/lib/modules/{release}/vmlinux",
        f"/lib/modules/{release}/build/vmlinux",
    )
    return next((Path(path) for path in candidates if release and Path(path).is_file()), None)
