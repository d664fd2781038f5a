"""The options that choose which kernel a question is about."""

from __future__ import annotations

import functools
from collections.abc import Callable

import click

from lkm.operations.targets import Where

_OPTIONS = (
    click.option("--kernel", default="", metavar="WHERE", help="live, vm[:REL], emulated[:REL]."),
    click.option("--root", default="", metavar="DIR", help="A root directory, not running."),
    click.option("--release", default="", metavar="REL", help="A kernel here, not running."),
    click.option("--inventory", default="", metavar="FILE", help="Another host's inventory."),
)


def target_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options to a command, which gets them as one ``where``."""

    @functools.wraps(function)
    def wrapped(*, kernel: str, root: str, release: str, inventory: str, **rest: object) -> int:
        return function(where=Where(kernel, root, release, inventory), **rest)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
