"""The module files of the load scenarios: our own, the distribution's, and both damaged."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from lkm.module import signature
from lkm.module.image import ModuleImage
from tests.support.corrupt import with_field
from tests.support.kernels import KernelFiles
from tests.support.modules import built
from tests.support.signing import Workshop, garbage, length_past_the_file, tampered, workshop


class ScenarioModules:
    """Makes the files by the names that the scenarios use, each when first asked for."""

    def __init__(self, folder: Path, kernel: KernelFiles) -> None:
        self._folder = folder
        self._kernel = kernel
        self._made: dict[str, bytes] = {}

    def __getitem__(self, name: str) -> bytes:
        if name not in self._made:
            make = _MADE.get(name)
            self._made[name] = make(self) if make else self._own(name)
        return self._made[name]

    def _own(self, name: str) -> bytes:
        return built(name.removesuffix(".ko"), self._kernel).read_bytes()

    @property
    def good(self) -> bytes:
        return self._own("good.ko")

    @functools.cached_property
    def loop(self) -> bytes:
        return (self._kernel.modules / "kernel/drivers/block/loop.ko").read_bytes()

    @functools.cached_property
    def keys(self) -> Workshop:
        return workshop(self._folder, self._kernel)

    @property
    def signed(self) -> bytes:
        return self.keys.signed(self.good, self.keys.stranger)


def _with_vermagic(module: bytes, old: str, new: str) -> bytes:
    vermagic = ModuleImage.from_bytes(module).modinfo.get("vermagic") or ""
    assert old in vermagic
    return with_field(module, "vermagic", vermagic.replace(old, new))


def _with_wrong_crc(module: bytes, symbol: str) -> bytes:
    """Change the CRC in ``struct modversion_info``: 8 bytes before the symbol's name."""
    versions = ModuleImage.from_bytes(module).elf.section("__versions")
    assert versions is not None
    place = module.index(f"{symbol}\0".encode(), versions.offset) - 8
    return module[:place] + bytes([module[place] ^ 0xFF]) + module[place + 1 :]


_MADE: dict[str, Callable[[ScenarioModules], bytes]] = {
    "loop.ko": lambda files: files.loop,
    "loop_tampered.ko": lambda files: tampered(files.loop),
    "loop_stripped.ko": lambda files: signature.strip(files.loop),
    "vermagic.ko": lambda files: _with_vermagic(files.good, files._kernel.release, "6.9.9"),
    "vermagic2.ko": lambda files: _with_vermagic(files.good, "preempt", "preempx"),
    "badcrc.ko": lambda files: _with_wrong_crc(files.good, "module_layout"),
    "badcrc_printk.ko": lambda files: _with_wrong_crc(files.good, "_printk"),
    "trunc.ko": lambda files: files.good[: len(files.good) // 2],
    "garbage.ko": lambda _: b"this is not a module\n" * 100,
    "empty.ko": lambda _: b"",
    "signed.ko": lambda files: files.signed,
    "tampered.ko": lambda files: files.signed.replace(b"good: init", b"Good: init"),
    "sig_garbage.ko": lambda files: garbage(files.good),
    "sig_badlen.ko": lambda files: length_past_the_file(files.good),
}
