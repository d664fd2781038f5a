"""A kernel's exports out of the ``Module.symvers`` of its headers, where its image is unreadable.

Source of the format: ``scripts/mod/modpost.c: write_dump``:
``CRC<TAB>SYMBOL<TAB>MODULE<TAB>EXPORT_TYPE<TAB>NAMESPACE``.
"""

from __future__ import annotations

from pathlib import Path

from lkm.doctor.offers import Offer
from lkm.doctor.target import OPTIONS, ImageFacts, TreeFacts
from lkm.elf.machine import X86_64
from lkm.errors import FormatError
from lkm.module.image import ModuleImage
from lkm.vmlinux import config


def read_headers(headers: Path, release: str, tree: TreeFacts | None = None) -> ImageFacts:
    """Read the target facts that a kernel's headers hold; the rest from a module of its tree.

    What only the image knows (built-in keys, its own checks) stays unknown.
    """
    path = headers / "Module.symvers"
    exports = parse(path.read_text(encoding="utf-8", errors="replace"), str(path))
    vermagic, machine, size = _from_module(release, tree)
    return ImageFacts(
        release=release,
        vermagic=vermagic,
        machine=machine or X86_64,
        exports=exports,
        config=_config(headers / "include/config/auto.conf"),
        struct_module=size,
    )


def _config(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    options = config.parse(text)
    return {name: options[name] for name in OPTIONS if name in options}


def parse(text: str, path: str = "") -> dict[str, Offer]:
    """Return the exports of vmlinux itself; FormatError names a line that is no export."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split("\t")
        if len(fields) < 4 or not fields[0].startswith("0x"):
            raise FormatError(
                "CRC, symbol, module and export type, separated by tabs",
                repr(line[:60]),
                path=f"{path}:{number}",
            )
        crc, symbol, module, kind = fields[:4]
        if module == "vmlinux":
            namespace = fields[4] if len(fields) > 4 else ""
            found[symbol] = Offer("_GPL" in kind, namespace, _number(crc))
    return found


def _number(text: str) -> int | None:
    """0 stands for an export without a checksum."""
    try:
        return int(text, 16) or None
    except ValueError:
        return None


def _from_module(release: str, tree: TreeFacts | None) -> tuple[str, int, int | None]:
    """Return the version magic, machine and size of struct module that the tree's modules have."""
    for path in (tree.modules if tree is not None else {}).values():
        try:
            image = ModuleImage.open(path)
            vermagic = image.vermagic
            section = image.elf.section(".gnu.linkonce.this_module")
        except (FormatError, OSError):
            continue
        if vermagic is not None and vermagic.release == release:
            return vermagic.text, image.elf.header.machine, section.size if section else None
    return "", 0, None
