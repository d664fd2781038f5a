"""Show the help of a command, or its manual page."""

from __future__ import annotations

import click

import lkm
from lkm.errors import UsageError


@click.command("help")
@click.argument("verb", nargs=-1)
@click.option("--man", is_flag=True, help="Print the manual page: lkm help --man VERB | man -l -")
def command(verb: tuple[str, ...], man: bool) -> None:
    """Show the help of a command: `lkm help modinfo`, `lkm help kernels fetch`."""
    from lkm.cli.group import group  # which imports this file

    ctx = click.Context(group, info_name="lkm", **group.context_settings)
    for word in verb:
        parent = ctx.command
        found = parent.get_command(ctx, word) if isinstance(parent, click.Group) else None
        if found is None:
            name = ctx.command_path
            raise UsageError(f"{name} has no command {word!r}", hint=f"{name} --help lists them")
        ctx = click.Context(found, ctx, info_name=word, **found.context_settings)
    if man:
        from lkm.cli import manual

        click.echo(manual.troff(manual.page_of(ctx), lkm.__version__), nl=False)
    else:
        click.echo(ctx.command.get_help(ctx))
