"""What is here: kernels, programs, protections; and the example modules."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from lkm import __version__, landlock
from lkm.kernels.choose import choose_bootable, is_bootable
from lkm.kernels.known import known_kernels
from lkm.operations import examples
from lkm.web import limits
from lkm.web.contract.answers import Example, Examples, KernelHere, PageState, SuggestedAction
from lkm.web.contract.requests import NoQuestion

_PARAMETERS = {"hello": ("num=42", "who=kernel", "loud=1")}
_ACTIONS = {
    "hello": (
        SuggestedAction("set", "num", "7"),
        SuggestedAction("open", "/dev/hello", ""),
        SuggestedAction("write", "/dev/hello", "kept"),
        SuggestedAction("read", "/dev/hello", ""),
        SuggestedAction("unload", "", ""),
        SuggestedAction("close", "/dev/hello", ""),
    ),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What answers need to know of the server."""

    folder: Path
    allow_live: bool
    unconfined: bool


def state(_question: NoQuestion, surroundings: Surroundings) -> PageState:
    """Return what is here, and for what is not the line that brings it."""
    here = _kernels()
    emulated, emulated_hint = _emulated(here)
    playground, playground_hint = _playground(here, surroundings)
    secure_boot, secure_boot_hint = _secure_boot()
    return PageState(
        version=__version__,
        running=os.uname().release,
        kernels=here,
        emulated=emulated,
        emulated_hint=emulated_hint,
        playground=playground and emulated,
        playground_hint=playground_hint or emulated_hint,
        secure_boot=secure_boot and emulated,
        secure_boot_hint=secure_boot_hint,
        live=surroundings.allow_live,
        landlock=landlock.abi(),
        limits=limits.USUAL,
        fetch="amd64",
    )


def all_examples(_question: NoQuestion, _surroundings: Surroundings) -> Examples:
    """Return the example modules with their source."""
    return Examples(
        tuple(
            Example(
                each.name,
                each.title,
                each.source.read_text(encoding="utf-8"),
                _PARAMETERS.get(each.name, ()),
                _ACTIONS.get(each.name, ()),
            )
            for each in examples.examples()
        )
    )


def _kernels() -> tuple[KernelHere, ...]:
    """Return the kernels that are here, newest first, each release once."""
    found: dict[str, KernelHere] = {}
    for known in known_kernels():
        before = found.get(known.release)
        found[known.release] = KernelHere(
            known.release,
            is_bootable(known) or (before is not None and before.bootable),
            known.headers is not None or (before is not None and before.headers),
            known.modules is not None or (before is not None and before.modules),
            default=False,
        )
    bootable = [each for each in found.values() if each.bootable]
    default = choose_bootable().release if bootable else ""
    return tuple(
        KernelHere(k.release, k.bootable, k.headers, k.modules, k.release == default)
        for k in reversed(found.values())
    )


def _emulated(here: tuple[KernelHere, ...]) -> tuple[bool, str]:
    if importlib.util.find_spec("unicorn") is None:
        return False, "pip install 'lkm[emulated]'"
    if not any(kernel.bootable for kernel in here):
        return False, "lkm kernels fetch amd64 --headers"
    return True, ""


def _playground(here: tuple[KernelHere, ...], surroundings: Surroundings) -> tuple[bool, str]:
    if not landlock.abi() and not surroundings.unconfined:
        return False, "lkm web --unconfined"
    if shutil.which("gcc") is None or shutil.which("make") is None:
        return False, "apt install gcc make"
    with_headers = [kernel for kernel in here if kernel.bootable and kernel.headers]
    if not with_headers:
        release = here[0].release if here else "amd64"
        return False, f"lkm kernels fetch {release} --headers"
    return True, ""


def _secure_boot() -> tuple[bool, str]:
    wanted = {
        "qemu-system-x86": Path("/usr/bin/qemu-system-x86_64"),
        "ovmf": Path("/usr/share/OVMF"),
        "shim-signed": Path("/usr/lib/shim/shimx64.efi.signed"),
        "grub-efi-amd64-signed": Path("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"),
    }
    missing = [package for package, path in wanted.items() if not path.exists()]
    if importlib.util.find_spec("virt") is None:
        return False, "pip install 'lkm[secureboot]'"
    return not missing, f"apt install {' '.join(missing)}" if missing else ""
