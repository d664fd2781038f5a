"""Everything there is to see of one module, and who provides the symbols it needs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lkm.errors import NotFoundError
from lkm.kernels.known import KnownKernel, find_kernel, known_kernels
from lkm.module import memory, signer
from lkm.module.image import ModuleImage
from lkm.module.memory import ModuleMemory
from lkm.module.names import normalize
from lkm.module.parameters import Parameter
from lkm.module.signer import ClaimedSigner
from lkm.module.symbols import Export
from lkm.operations import modinfo
from lkm.operations.providers import Provider, files_called, providers


@dataclass(frozen=True, slots=True)
class SectionUse:
    """A section; ``stays``: it is in memory after init; ``loaded``: it is during init."""

    name: str
    size: int
    flags: int
    loaded: bool
    stays: bool


@dataclass(frozen=True, slots=True)
class Inspection:
    """The facts that ``lkm inspect`` shows; sizes in bytes, ``fields`` as in ``.modinfo``."""

    name: str
    path: str
    compression: str
    file_size: int
    size: int
    bits: int
    little_endian: bool
    machine: int
    fields: tuple[tuple[str, str], ...]
    licence: str | None
    gpl_compatible: bool
    taints: tuple[str, ...]
    release: str | None
    vermagic: tuple[str, ...]
    build_id: str | None
    init: str | None
    exit: str | None
    this_module_size: int | None
    memory: ModuleMemory
    parameters: tuple[Parameter, ...]
    depends: tuple[str, ...]
    needs: tuple[Provider, ...]
    offers: tuple[Export, ...]
    sections: tuple[SectionUse, ...]
    relocations: tuple[tuple[str, int], ...]
    has_dwarf: bool
    has_btf: bool
    retpoline: bool
    signature_size: int
    signer: ClaimedSigner | None

    def all(self, key: str) -> tuple[str, ...]:
        """Return every value of a modinfo field."""
        return tuple(value for name, value in self.fields if name == key)


def inspect(wanted: str, *, root: str = "/", release: str | None = None) -> Inspection:
    """Return the facts of the module ``wanted``, a file, a name or an alias.

    A name is looked up in the tree of ``release`` (default: the running kernel's, else the newest
    that is here); the needed symbols in the tree the file lies in or was built for. Raises
    ``NotFoundError``, and ``FormatError`` where the file is not a module.
    """
    path, kernel = _locate(wanted, root, release)
    image = ModuleImage.open(path)
    kernel = kernel or _kernel_of(image)
    return _facts(image, providers(image, kernel))


def _locate(wanted: str, root: str, release: str | None) -> tuple[str, KnownKernel | None]:
    if os.path.isfile(wanted) or "/" in wanted:
        kernel = _named(root, release) if release else None
        return wanted, kernel
    kernel = _named(root, release)
    directory = str(kernel.modules)
    try:
        found = modinfo.find(wanted, directory)[0]
    except NotFoundError:
        path = next(files_called(normalize(wanted), directory), None)
        if path is None:
            raise NotFoundError(
                f"there is no module {wanted!r} in {directory}",
                hint="lkm kernels lists the kernels that are here: --release chooses one",
            ) from None
        return path, kernel
    if found.path is None:
        raise NotFoundError(
            f"{found.name} is built into the kernel {kernel.release}: there is no file to inspect",
            hint=f"lkm modinfo -b {kernel.root} -k {kernel.release} {found.name}",
        )
    return found.path, kernel


def _named(root: str, release: str | None) -> KnownKernel:
    """Return the kernel to look names up in: the one named, the running one, the newest."""
    known = [kernel for kernel in known_kernels(root) if kernel.modules]
    if root != "/":
        known = [kernel for kernel in known if not kernel.fetched]
    wanted = release or os.uname().release
    for kernel in known:
        if kernel.release == wanted:
            return kernel
    if release or not known:
        raise NotFoundError(
            f"there are no modules of {release or 'any kernel'} here",
            hint=f"lkm kernels fetch {release or 'amd64'}",
        )
    return known[-1]


def _kernel_of(image: ModuleImage) -> KnownKernel | None:
    """Return the kernel whose tree the file lies in, or which it was built for."""
    inside = re.match(r"(.*)/lib/modules/([^/]+)/", os.path.abspath(image.path))
    if inside:
        root, release = inside[1] or "/", inside[2]
        here = [k for k in known_kernels(root) if k.release == release and not k.fetched]
        if here:
            return here[0]
    try:
        return find_kernel(image.vermagic.release) if image.vermagic else None
    except NotFoundError:
        return None


def _facts(image: ModuleImage, needs: tuple[Provider, ...]) -> Inspection:
    signature = image.signature
    header = image.elf.header
    vermagic = image.vermagic
    return Inspection(
        name=image.modinfo.get("name") or image.name,
        path=image.path,
        compression=image.compression.value,
        file_size=os.stat(image.path).st_size,
        size=len(image.payload),
        bits=header.bits,
        little_endian=header.little_endian,
        machine=header.machine,
        fields=image.modinfo.fields,
        licence=image.licence,
        gpl_compatible=not image.proprietary,
        taints=tuple(flag.letter for flag in image.taints),
        release=vermagic.release if vermagic else None,
        vermagic=vermagic.words if vermagic else (),
        build_id=image.build_id,
        init=image.init,
        exit=image.exit,
        this_module_size=image.this_module_size,
        memory=image.memory,
        parameters=image.parameters,
        depends=image.depends,
        needs=needs,
        offers=image.exports,
        sections=tuple(_section_uses(image)),
        relocations=image.relocations,
        has_dwarf=image.has_dwarf,
        has_btf=image.has_btf,
        retpoline=image.retpoline,
        signature_size=len(image.payload) - signature.content_length if signature else 0,
        signer=signer.read(signature) if signature else None,
    )


def _section_uses(image: ModuleImage) -> Iterator[SectionUse]:
    for section in image.sections[1:]:
        loaded, stays = memory.is_loaded(section), memory.stays(section)
        yield SectionUse(section.name, section.size, section.flags, loaded, stays)
