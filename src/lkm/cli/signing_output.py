"""Options and messages shared by ``sign`` and ``strip-signature``: the output file, the summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from lkm.operations.module_files import FileFailure
from lkm.operations.trust.sign import Rewritten

F = TypeVar("F", bound=Callable[..., Any])


def options(function: F) -> F:
    """Add ``--in-place``, ``--out`` and ``--json``."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print a JSON document."),
        click.option("--out", metavar="PATH", help="Write there: a directory, or a .ko file."),
        click.option("--in-place", is_flag=True, help="Replace the files (the default)."),
    ):
        function = option(function)
    return function


def check(in_place: bool, out: str | None) -> None:
    """Raise the usage error for options that exclude each other."""
    if in_place and out:
        raise click.UsageError("--in-place and --out exclude each other")


def report(results: Sequence[Rewritten | FileFailure], verb: str, *, quiet: bool) -> int:
    """Print a line for each of a few modules, a sum for many; return the exit status."""
    done = [result for result in results if isinstance(result, Rewritten)]
    failed = [result for result in results if isinstance(result, FileFailure)]
    if not quiet and len(results) <= 10:
        for result in done:
            click.echo(f"{result.target}: {verb}{_again(result, verb)}")
    elif not quiet:
        click.echo(f"{len(done)} modules {verb}, {len(failed)} failed")
    for failure in failed:
        click.echo(f"lkm: {failure.message}", err=True)
        if failure.hint:
            click.echo(f"hint: {failure.hint}", err=True)
    return 1 if failed else 0


def _again(result: Rewritten, verb: str) -> str:
    if verb == "signed":
        return " (in place of an older signature)" if result.was_signed else ""
    return "" if result.was_signed else " (it was not signed)"
