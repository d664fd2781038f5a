"""The click group over all commands; each is imported when it is run."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence

import click

import lkm
from lkm.cli import examples, registry
from lkm.cli.tool_command import ToolCommand


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return registry.names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module_name = registry.module_name(cmd_name)
        if module_name is None:
            return None
        module = importlib.import_module(module_name)
        command: click.Command = (
            ToolCommand(module.TOOL, registry.summary(cmd_name), module.run)
            if cmd_name in registry.OWN_PARSERS
            else module.command
        )
        if command.epilog is None and (shown := examples.text(cmd_name)):
            command.epilog = f"\b\n{shown}"
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], registry.names(), 3, 0.6)
            if not near or registry.module_name(args[0]):
                raise
            meant = f"No such command {args[0]!r}. Did you mean {' or '.join(near)}?"
            raise click.UsageError(meant, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        left = dict.fromkeys(registry.names())
        for purpose, names in (*examples.PURPOSES, ("Other", tuple(left))):
            rows = [(name, registry.summary(name)) for name in names if name in left]
            for name, _ in rows:
                del left[name]
            if rows:
                with formatter.section(purpose):
                    formatter.write_dl(rows)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(lkm.__version__, "-V", "--version", prog_name="lkm")
def group() -> None:
    """Everything one does with a Linux loadable kernel module."""


def main_group(arguments: Sequence[str]) -> int:
    """Run ``lkm ARGUMENTS`` and return the exit status a command returned (``None`` is 0)."""
    try:
        status = group.main(args=list(arguments), prog_name="lkm", standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return int(status or 0)
