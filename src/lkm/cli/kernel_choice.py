"""The option that says which kernel a command works on, for click commands and kmod's tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lkm.cli.kmod_options import Option
from lkm.cli.output import ProgressLine

if TYPE_CHECKING:  # kmod's tools need the option's name for their help, and no kernel
    from lkm.kernel.kernel import Kernel

KERNEL = Option(
    "", "kernel", "KERNEL", "Work on live (default), vm[:REL] or emulated[:REL]", own=True
)


def kernel_option(default: str = "live") -> Callable[[Any], Any]:
    """Return the decorator that adds ``--kernel`` to a click command, as ``where``."""
    import click  # kmod's tools import this module and do without

    return click.option(
        "--kernel",
        "where",
        metavar="KERNEL",
        default=default,
        show_default=True,
        help="live, vm[:RELEASE] or emulated[:RELEASE].",
    )


def opened(where: str | None, *, built_for: str = "", **settings: Any) -> Kernel:
    """Open the kernel ``where`` names, ``live`` by default, with a line of progress.

    ``built_for`` is the release a module was built for: a ``vm`` or ``emulated`` without a
    release means that one when it is here. ``settings`` go to ``open_kernel``.
    """
    from lkm.kernel.open import open_kernel  # modinfo and its like open no kernel

    where = where or "live"
    if built_for and where in ("vm", "emulated"):
        where = _of_release(where, built_for)
    line = ProgressLine()
    try:
        return open_kernel(where, progress=line, **settings)
    finally:
        line.clear()


def _of_release(where: str, release: str) -> str:
    from lkm.tree.kernels import known

    there = any(kernel.release == release and kernel.vmlinuz for kernel in known())
    return f"{where}:{release}" if there else where


def release_of(path: str) -> str:
    """Return the kernel release the module file was built for; empty where it does not say."""
    from lkm.errors import LkmError
    from lkm.module.image import ModuleImage

    try:
        vermagic = ModuleImage.open(path).vermagic
    except (LkmError, OSError):
        return ""  # the kernel will say what is wrong with it
    return vermagic.release if vermagic else ""
