"""A kernel of one's own, named by a path: an image, or the folder it was built in.

Source: ``arch/x86/boot/`` and ``arch/arm64/boot/`` for where kbuild leaves images;
``include/generated/utsrelease.h`` for the release.
"""

from __future__ import annotations

import os
from pathlib import Path

from lkm.errors import FormatError, NotFoundError
from lkm.kernels.known import KnownKernel, header_directory
from lkm.vmlinux.image import open_cached

_IMAGES = ("arch/x86/boot/bzImage", "arch/arm64/boot/Image", "vmlinux", "vmlinuz", "bzImage")
_NOWHERE = Path("/nonexistent")


def is_path(name: str) -> bool:
    """Return whether a kernel is named by a path rather than by its release."""
    return "/" in name or name in (".", "..")


def kernel_at(name: str) -> KnownKernel:
    """Return the kernel that a path means.

    A file is an image (bzImage, vmlinuz, vmlinux); a folder one that kbuild built a kernel in,
    which modules can be built with, too. An image in a ``boot`` folder has the modules beside it.
    Raises NotFoundError where there is none, FormatError for what is no kernel.
    """
    path = Path(name).absolute()
    if not path.exists():
        raise NotFoundError(f"{name}: no such file or folder")
    image = _image_in(path) if path.is_dir() else path
    try:
        release = open_cached(image).release
    except FormatError as error:
        if not error.hint:
            error.hint = "give a kernel's image (bzImage, vmlinuz, vmlinux) or its build folder"
        raise
    root = image.parent.parent if image.parent.name == "boot" else _NOWHERE
    if not (root / "lib/modules" / release).is_dir():
        root = _NOWHERE
    modules = root / "lib/modules" / release
    built = path if path.is_dir() and (path / "include/generated/utsrelease.h").is_file() else None
    return KnownKernel(
        release=release,
        root=root,
        vmlinuz=image,
        modules=modules if modules.is_dir() else None,
        headers=built or header_directory(root, release),
        fetched=False,
        place=os.fspath(path),
    )


def _image_in(folder: Path) -> Path:
    for name in _IMAGES:
        if (folder / name).is_file():
            return folder / name
    raise NotFoundError(
        f"no kernel was built in {folder}: it has none of {', '.join(_IMAGES[:3])}",
        hint=f"make -C {folder}",
    )
