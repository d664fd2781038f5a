"""The options by which commands choose a root directory, a release and a configuration."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from lkm.operations.resolve import open_resolver
from lkm.tree.resolver import Resolver

OpenTree = Callable[[], Resolver]


def tree_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --root, --release, --config and --command-line.

    The command gets ``open_tree``, a function that returns the Resolver they choose.
    """

    @functools.wraps(function)
    def wrapped(
        root: str | None,
        release: str | None,
        config: tuple[str, ...],
        command_line: str,
        **rest: Any,
    ) -> Any:
        open_tree = functools.partial(
            open_resolver, root, release, config_paths=config, kernel_command_line=command_line
        )
        return function(open_tree=open_tree, **rest)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


_OPTIONS = (
    click.option(
        "--root", metavar="DIR", help="The root directory whose files count.  [default: /]"
    ),
    click.option(
        "--release", metavar="RELEASE", help="The kernel release in it, or a fetched kernel's."
    ),
    click.option(
        "--config",
        metavar="PATH",
        multiple=True,
        help="A modprobe.d directory or file to read instead (repeatable).",
    ),
    click.option(
        "--command-line",
        metavar="FILE",
        default="/proc/cmdline",
        help="A file to read as the kernel command line; empty for none.",
    ),
)
