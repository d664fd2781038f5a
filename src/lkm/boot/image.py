"""The facts of an initramfs image: its generator, modules, configuration and firmware."""

from __future__ import annotations

import mmap
import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lkm.boot.archive import ArchiveReader, ImageMember, ImageSegment
from lkm.errors import FormatError, LkmError
from lkm.module.image import ModuleImage
from lkm.module.names import is_module_file, module_name, normalize
from lkm.tree.config import Rule, parse_rules

_MODULE_PATH = re.compile(r"(?:^|/)lib/modules/([^/]+)/(.+)$")
_FIRMWARE = re.compile(r"(?:^|/)lib/firmware/(.+)$")
_MODPROBE_D = re.compile(r"^(?:etc|run|usr/local/lib|usr/lib|lib)/modprobe\.d/[^/]+\.conf$")
_MODULES_LOAD_D = re.compile(r"^(?:etc|run|usr/local/lib|usr/lib|lib)/modules-load\.d/[^/]+\.conf$")
_LISTS = {"conf/modules": "initramfs-tools", "etc/modules": "etc"}
_SMALL = 1 << 20
_GENERATORS = (
    (
        "initramfs-tools",
        re.compile(r"^(?:conf/arch\.conf|conf/initramfs\.conf|scripts/functions)$"),
    ),
    ("dracut", re.compile(r"^(?:usr/)?lib/dracut/|^dracut-state\.sh$")),
    ("mkinitcpio", re.compile(r"^(?:buildconfig|init_functions)$")),
    ("booster", re.compile(r"^etc/booster\.init\.yaml$")),
    ("mkosi", re.compile(r"^usr/lib/mkosi-initrd(?:/|$)|^etc/mkosi-initrd")),
)
_SYSTEMD = re.compile(r"^(?:etc|usr/lib)/initrd-release$")


@dataclass(frozen=True, slots=True)
class PackedModule:
    """A module in an image; ``release`` is that of its folder, ``built_for`` its vermagic's.

    ``problem`` says why the file could not be read; its facts are then empty.
    """

    name: str
    path: str
    release: str
    size: int
    version: str = ""
    built_for: str = ""
    depends: tuple[str, ...] = ()
    softdeps: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class InitramfsImage:
    """An image as a whole; sizes in bytes, paths without a leading slash.

    ``loaded_early`` are the modules that the image itself says are to be loaded, with the file
    that says so; ``files`` is the number of regular files; ``indexes`` are its ``modules.*`` files;
    ``builtin`` are the built-in modules its ``modules.builtin`` names.
    """

    path: str
    size: int
    segments: tuple[ImageSegment, ...]
    generator: str
    modules: tuple[PackedModule, ...]
    rules: tuple[Rule, ...] = ()
    loaded_early: tuple[tuple[str, str], ...] = ()
    firmware: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    builtin: frozenset[str] = field(default_factory=frozenset)
    programs: frozenset[str] = field(default_factory=frozenset)
    microcode: bool = False
    files: int = 0

    @property
    def releases(self) -> tuple[str, ...]:
        """The releases whose modules are in it."""
        return tuple(sorted({module.release for module in self.modules}))

    def module(self, name: str) -> PackedModule | None:
        """Return the module called ``name``."""
        wanted = normalize(name)
        return next((module for module in self.modules if module.name == wanted), None)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[ArchiveReader]:
    """Open the image in the file ``path`` for reading member by member."""
    name = os.fspath(path)
    with open(name, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise FormatError("an initramfs", "an empty file", path=name)
        # Not closed here: an error's traceback may still refer to a piece of it.
        yield ArchiveReader(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), name)


def read_image(path: str | os.PathLike[str]) -> InitramfsImage:
    """Read the facts of an image; raises FormatError for what is no initramfs."""
    reading = _Reading()
    with opened(path) as reader:
        for member in reader.members():
            reading.take(member, reader)
        segments = tuple(reader.segments)
    return reading.image(os.fspath(path), os.path.getsize(path), segments)


class _Reading:
    """The facts of an image as far as it was read."""

    def __init__(self) -> None:
        self._modules: dict[str, PackedModule] = {}
        self._rules: list[Rule] = []
        self._early: list[tuple[str, str]] = []
        self._firmware: list[str] = []
        self._indexes: list[str] = []
        self._builtin: set[str] = set()
        self._programs: set[str] = set()
        self._generator = ""
        self._systemd = self._microcode = False
        self._files = 0

    def take(self, member: ImageMember, reader: ArchiveReader) -> None:
        """Note what one member says."""
        name = member.name.lstrip("/")
        self._recognise(name)
        if name.startswith("kernel/x86/microcode/"):
            self._microcode = True
        if (found := _FIRMWARE.search(name)) and (member.is_file or member.link):
            self._firmware.append(found[1])
        if "/sbin/" in f"/{name}" or "/bin/" in f"/{name}":
            self._programs.add(posixpath.basename(name))
        if not member.is_file:
            return
        self._files += 1
        if found := _MODULE_PATH.search(name):
            self._in_modules(found[1], found[2], name, member, reader)
        elif member.size > _SMALL:
            return
        elif _MODPROBE_D.match(name):
            self._rules += parse_rules(reader.content(_SMALL), name)[0]
        elif name in _LISTS or _MODULES_LOAD_D.match(name):
            self._early += _names(reader.content(_SMALL), name)
        elif name == "config" and self._generator in ("", "mkinitcpio"):
            self._early += _mkinitcpio_names(reader.content(_SMALL), name)

    def _recognise(self, name: str) -> None:
        if not self._generator:
            for generator, pattern in _GENERATORS:
                if pattern.search(name):
                    self._generator = generator
        self._systemd = self._systemd or bool(_SYSTEMD.match(name))

    def _in_modules(
        self, release: str, inside: str, name: str, member: ImageMember, reader: ArchiveReader
    ) -> None:
        if is_module_file(posixpath.basename(inside)):
            module = _packed_module(release, name, member, reader)
            self._modules.setdefault(module.name, module)
        elif "/" not in inside and inside.startswith("modules."):
            self._indexes.append(inside)
            if inside == "modules.builtin" and member.size <= 16 * _SMALL:
                lines = reader.content(16 * _SMALL).decode("utf-8", "replace").splitlines()
                self._builtin.update(module_name(line) for line in lines if line.strip())

    def image(self, path: str, size: int, segments: tuple[ImageSegment, ...]) -> InitramfsImage:
        """Return all that was noted."""
        return InitramfsImage(
            path=path,
            size=size,
            segments=segments,
            generator=self._generator or ("systemd" if self._systemd else "unknown"),
            modules=tuple(sorted(self._modules.values(), key=lambda module: module.name)),
            rules=tuple(self._rules),
            loaded_early=tuple(self._early),
            firmware=tuple(sorted(set(self._firmware))),
            indexes=tuple(sorted(self._indexes)),
            builtin=frozenset(self._builtin),
            programs=frozenset(self._programs),
            microcode=self._microcode,
            files=self._files,
        )


def _packed_module(
    release: str, path: str, member: ImageMember, reader: ArchiveReader
) -> PackedModule:
    name = module_name(path)
    try:
        image = ModuleImage.from_bytes(reader.content(), path)
        info = image.modinfo
    except LkmError as error:
        return PackedModule(name, path, release, member.size, problem=str(error))
    depends = (info.get("depends") or "").split(",")
    softdeps = " ".join(info.all("softdep")).replace("pre:", " ").replace("post:", " ").split()
    return PackedModule(
        name=name,
        path=path,
        release=release,
        size=member.size,
        version=info.get("version") or "",
        built_for=(info.get("vermagic") or "").partition(" ")[0],
        depends=tuple(normalize(word) for word in depends if word),
        softdeps=tuple(dict.fromkeys(normalize(word) for word in softdeps)),
        firmware=info.all("firmware"),
    )


def _names(data: bytes, path: str) -> Iterator[tuple[str, str]]:
    """Yield the modules of a list, one a line with options behind it, and the list's path."""
    for line in data.decode("utf-8", "replace").splitlines():
        words = line.split("#")[0].split()
        if words and not words[0].startswith(";"):
            yield normalize(words[0]), path


_ASSIGNED = re.compile(r"^(?:EARLY_)?(?:MODULES|EARLYMODULES)=[\"'(]?([^\"')\n]*)", re.MULTILINE)


def _mkinitcpio_names(data: bytes, path: str) -> Iterator[tuple[str, str]]:
    """Yield the modules that mkinitcpio's own ``/config`` has loaded at the start."""
    for found in _ASSIGNED.finditer(data.decode("utf-8", "replace")):
        for word in found[1].split():
            yield normalize(word.rstrip("?")), path
