"""From ``live``, ``vm``, ``vm:RELEASE``, ``emulated`` or ``emulated:RELEASE`` to a Kernel."""

from __future__ import annotations

import os
from collections.abc import Callable

from lkm.errors import LkmError, UsageError, missing_extra
from lkm.kernel.kernel import Kernel
from lkm.kernels.choose import CHOICES, Wish, choose, choose_bootable
from lkm.kernels.known import KnownKernel

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much is done (of 0: not known)."""


def open_kernel(
    where: str = "live",
    *,
    module: str | os.PathLike[str] = "",
    command_line: str = "",
    cpus: int = 1,
    memory: int = 256,
    progress: Progress | None = None,
) -> Kernel:
    """Open a kernel to load modules into.

    ``where`` is ``live``, ``vm`` or ``emulated``; the latter two may name a release or a series
    (``vm:6.1.0-56-amd64``, ``emulated:6.12``), or the path of an image or build folder. Where they
    name none, ``module`` (a file) means the kernel it was built for. ``command_line`` is added to
    that kernel's own; ``cpus`` and ``memory`` (MiB) are a virtual machine's; ``progress`` is told
    of a first boot, which takes seconds. Raises UsageError for any other word,
    NotFoundError when the kernel is not here, ToolError when a program or package is missing.
    """
    if module and where in ("vm", "emulated"):
        where = _built_for(where, module)
    kind, _, release = where.partition(":")
    if kind == "live" and not release:
        # Each kind is imported when it is asked for: Unicorn alone costs 100 ms.
        from lkm.kernel.live import LiveSyscalls

        return Kernel(LiveSyscalls())
    if kind == "vm":
        from lkm.kernel.vm.machine import open_machine

        machine = open_machine(
            _indexed(release, progress),
            command_line=command_line,
            cpus=cpus,
            memory=memory,
            progress=progress,
        )
        return Kernel(machine)
    if kind == "emulated":
        return _open_emulated(_indexed(release, progress), command_line, progress)
    raise UsageError(f"{where!r} names no kernel", hint=f"one of: {CHOICES}")


def _built_for(where: str, module: str | os.PathLike[str]) -> str:
    from lkm.module.image import ModuleImage  # the tools that name a kernel do without

    try:
        vermagic = ModuleImage.open(module).vermagic
    except (LkmError, OSError):
        return where  # the kernel will say what is wrong with it
    return choose(where, Wish(built_for=vermagic.release if vermagic else "")).where


def _indexed(release: str, progress: Progress | None) -> KnownKernel:
    """Choose a kernel, and index its modules if they are not: it may ask for them."""
    from lkm.kernels.fetch import indexed_kernel  # and unpack: what a live kernel need not

    return indexed_kernel(choose_bootable(release), progress)


def _open_emulated(kernel: KnownKernel, command_line: str, progress: Progress | None) -> Kernel:
    try:
        from lkm.kernel.emulated import open_machine
    except ImportError as error:
        if error.name != "unicorn":
            raise
        raise missing_extra("unicorn", "emulated") from error
    assert kernel.vmlinuz is not None  # `choose` saw to it
    tell = (lambda what: progress(what, 0, 0)) if progress else None
    machine = open_machine(
        kernel.vmlinuz, root=kernel.root, command_line=command_line, progress=tell
    )
    return Kernel(machine)
