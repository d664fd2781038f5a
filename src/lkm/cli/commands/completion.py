"""Print the script that makes a shell complete lkm's commands, options and module names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from lkm.errors import UsageError


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL.

    bash: eval "$(lkm completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc. fish: lkm
    completion fish > ~/.config/fish/completions/lkm.fish
    """
    from lkm.cli.group import group  # which imports this file

    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"click completes no {shell}")
    click.echo(kind(group, {}, "lkm", "_LKM_COMPLETE").source())
