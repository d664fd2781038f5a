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
        help="live, vm[:RELEASE|PATH] or emulated[:RELEASE|PATH].",
        shell_complete=complete_kernel,
    )


def complete_kernel(_ctx: Any, _parameter: Any, incomplete: str) -> list[str]:
    """Return the kernels that begin so: each kind, and each with the releases that are here."""
    words = ["live", "emulated", "vm"]
    words += [f"{kind}:{release}" for kind in ("emulated", "vm") for release in _releases()]
    return [word for word in words if word.startswith(incomplete)]


def complete_release(_ctx: Any, _parameter: Any, incomplete: str) -> list[str]:
    """Return the releases here that begin so, the last of several separated by commas."""
    before, comma, begun = incomplete.rpartition(",")
    found = [release for release in _releases() if release.startswith(begun)]
    return [f"{before}{comma}{release}" for release in found]


def _releases() -> list[str]:
    from lkm.kernels.known import known_kernels  # only when the shell asks

    return list(dict.fromkeys(kernel.release for kernel in known_kernels()))


def opened(where: str | None, *, for_file: str = "", **settings: Any) -> Kernel:
    """Open the kernel ``where`` names, ``live`` by default, with a line of progress.

    ``for_file`` is a module's file: a ``vm`` or ``emulated`` without a release means the one it
    was built for when that is here. ``settings`` go to ``open_kernel``.
    """
    from lkm.kernel.open import open_kernel  # modinfo and its like open no kernel

    where = where or "live"
    line = ProgressLine()
    try:
        return open_kernel(where, module=for_file, progress=line, **settings)
    finally:
        line.clear()


def tell_passing(tool: str, where: str | None, advice: str) -> None:
    """Tell, on standard error, that a machine was started for one command and ends with it.

    ``where`` is what ``--kernel`` named; nothing is told of the live kernel, which stays as it is.
    """
    import sys  # as above: the tools that open no kernel do without

    if where and where.partition(":")[0] in ("emulated", "vm"):
        print(
            f"{tool}: {where} is a machine that was started for this command and ends with "
            f"it; {advice}",
            file=sys.stderr,
        )
