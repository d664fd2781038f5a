"""From ``live``, ``vm``, ``vm:RELEASE``, ``emulated`` or ``emulated:RELEASE`` to a Kernel."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from lkm.errors import NotFoundError, UsageError, missing_extra
from lkm.kernel.kernel import Kernel

if TYPE_CHECKING:
    from lkm.tree.kernels import KnownKernel

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much is done (of 0: not known)."""

CHOICES = "live, vm[:RELEASE] or emulated[:RELEASE]"


def open_kernel(
    where: str = "live",
    *,
    command_line: str = "",
    cpus: int = 1,
    memory: int = 256,
    progress: Progress | None = None,
) -> Kernel:
    """Open a kernel to load modules into.

    ``where`` is ``live``, ``vm`` or ``emulated``; the latter two may name a release or a series
    (``vm:6.1.0-56-amd64``, ``emulated:6.12``). ``command_line`` is added to that kernel's own;
    ``cpus`` and ``memory`` (MiB) are a virtual machine's; ``progress`` is told of a first boot,
    which takes seconds. Raises UsageError for any other word,
    NotFoundError when the kernel is not here, ToolError when a program or package is missing.
    """
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


def _indexed(release: str, progress: Progress | None) -> KnownKernel:
    """Choose a kernel, and index its modules if they are not: it may ask for them."""
    from lkm.tree import kernels  # it can fetch and unpack them, which a live kernel need not

    return kernels.indexed(choose(release), progress)


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


def choose(release: str = "") -> KnownKernel:
    """Return the kernel to boot, one whose image is here.

    Without a release: the running kernel if its image can be read, else the newest known.
    """
    from lkm.tree import kernels  # it can fetch and unpack them, which a live kernel need not

    if release:
        kernel = kernels.find(release)
        if not is_bootable(kernel):
            raise NotFoundError(
                f"the image of kernel {kernel.release} cannot be read",
                hint=f"fetch a copy: lkm kernels fetch {kernel.release}",
            )
        return kernel
    here = [kernel for kernel in kernels.known() if is_bootable(kernel)]
    if not here:
        raise NotFoundError("no kernel image is here", hint="fetch one: lkm kernels fetch amd64")
    running = [kernel for kernel in here if kernel.release == os.uname().release]
    return (running or here)[-1]


def is_bootable(kernel: KnownKernel) -> bool:
    """Return whether the image of ``kernel`` is here and may be read."""
    return kernel.vmlinuz is not None and os.access(kernel.vmlinuz, os.R_OK)
