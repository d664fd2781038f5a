"""A kernel image and what is known of it, each fact read when first asked for."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from lkm.errors import FormatError, LkmError, NotFoundError
from lkm.vmlinux import certificates, config, exports, kallsyms, payload
from lkm.vmlinux.btf import Btf
from lkm.vmlinux.cache import FactStore
from lkm.vmlinux.executable import Executable
from lkm.vmlinux.exports import KernelExport
from lkm.vmlinux.symbols import Symbols

_BANNER = re.compile(rb"Linux version [^%\s]+ [ -~]*#[0-9][ -~]*")
_Fact = TypeVar("_Fact")


class VmlinuxImage:
    """A vmlinuz or vmlinux: ``open`` reads one anew, ``open_cached`` keeps its facts on disk."""

    def __init__(self, data: bytes, path: str = "", *, keep: bool = False) -> None:
        self.path = path
        self._data = data
        self._store = FactStore(self.key) if keep else None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> VmlinuxImage:
        """Return the image in a file; nothing is unpacked yet."""
        return cls(Path(path).read_bytes(), os.fspath(path))

    @classmethod
    def from_bytes(cls, data: bytes, path: str = "<bytes>") -> VmlinuxImage:
        """Return the image in ``data``."""
        return cls(data, path)

    @functools.cached_property
    def key(self) -> str:
        """A text that is the same for the same image and different for any other."""
        return hashlib.sha256(self._data).hexdigest()[:32]

    @functools.cached_property
    def elf(self) -> Executable:
        """The unpacked kernel; unpacking takes up to a second."""
        return Executable(payload.extract(self._data, self.path), self.path)

    @functools.cached_property
    def banner(self) -> str:
        """The line the kernel logs first (``Linux version 6.1.0-…``), without its newline."""
        return self._fact("banner", self._read_banner, str.encode, bytes.decode)

    @functools.cached_property
    def release(self) -> str:
        """The kernel's release, as ``uname -r`` gives it."""
        return payload.release(self._data) or self.banner.split()[2]

    @functools.cached_property
    def machine(self) -> str:
        """The architecture as ``uname -m`` calls it."""
        return self._fact("machine", lambda: self.elf.machine, str.encode, bytes.decode)

    @functools.cached_property
    def build_id(self) -> str | None:
        """The GNU build id in hexadecimal, or ``None``."""
        text = self._fact("build-id", lambda: self.elf.build_id or "", str.encode, bytes.decode)
        return text or None

    @functools.cached_property
    def exports(self) -> tuple[KernelExport, ...]:
        """The symbols that modules may use, sorted by name."""
        return self._fact(
            "exports", lambda: exports.read(self.elf), exports.to_bytes, exports.from_bytes
        )

    @functools.cached_property
    def kallsyms(self) -> Symbols:
        """All symbols; ``kallsyms[name]`` is an address."""
        return self._fact(
            "kallsyms", lambda: kallsyms.read(self.elf), Symbols.to_bytes, Symbols.from_bytes
        )

    @functools.cached_property
    def btf(self) -> Btf:
        """The kernel's types; ``btf.offset("task_struct", "pid")``."""
        return self._fact(
            "btf", lambda: Btf(self._btf_section(), path=self.path), Btf.to_bytes, Btf.from_bytes
        )

    @functools.cached_property
    def certificates(self) -> bytes:
        """The DER certificates built in, one after the other; ``b""`` when there are none."""
        return self._fact(
            "certificates", lambda: certificates.read(self.elf, self.kallsyms), bytes, bytes
        )

    @functools.cached_property
    def config(self) -> Mapping[str, str]:
        """The configuration: from a file beside the image, else embedded in it.

        The file is called ``config-RELEASE``, or ``config`` where the image is among the modules.
        """
        folder = Path(self.path).parent
        for beside in (folder / f"config-{self.release}", folder / "config"):
            if beside.is_file():
                return config.parse(beside.read_text(encoding="utf-8", errors="replace"))
        found = config.embedded(self.elf.data, self.path)
        if found is None:
            raise NotFoundError(
                f"{self.path or 'the kernel'} has no configuration in it, nor beside it",
                hint=f"looked for config-{self.release} and config in {folder}",
            )
        return found

    def _read_banner(self) -> str:
        match = _BANNER.search(self.elf.content(".rodata") or self.elf.data)
        if match is None:
            raise FormatError("a Linux kernel", "no version banner", path=self.path)
        return match[0].decode("ascii")

    def _btf_section(self) -> bytes:
        section = self.elf.content(".BTF")
        if not section:
            raise NotFoundError(
                f"{self.path or 'the kernel'} has no BTF, the description of its types",
                hint="take a kernel built with CONFIG_DEBUG_INFO_BTF",
            )
        return section

    def _fact(
        self,
        name: str,
        read: Callable[[], _Fact],
        encode: Callable[[_Fact], bytes],
        decode: Callable[[bytes], _Fact],
    ) -> _Fact:
        if self._store is None:
            return read()
        kept = self._store.load(name)
        if kept is not None:
            try:
                return decode(kept)
            except (LkmError, ValueError):
                pass  # written by another version of lkm; written anew below
        fact = read()
        self._store.save(name, encode(fact))
        return fact


def open_cached(path: str | os.PathLike[str]) -> VmlinuxImage:
    """Return the image in a file, its facts kept in the cache under the file's content.

    The first use of a fact unpacks the kernel (about a second), later ones take milliseconds; the
    cache may be deleted at any time, and several processes may share it.
    """
    return VmlinuxImage(Path(path).read_bytes(), os.fspath(path), keep=True)
