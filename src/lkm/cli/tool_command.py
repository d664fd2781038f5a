"""A kmod tool as a click command: the same option table serves click's help and completion."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from lkm.cli import kmod_options
from lkm.cli.kmod_options import Option, Tool
from lkm.module.names import normalize

_MODULES = Path("/lib/modules")


class ToolCommand(click.Command):
    """Hands its arguments to the tool as they are; its parameters are for help and completion."""

    def __init__(self, tool: Tool, summary: str, run: Callable[[list[str]], int]) -> None:
        parameters: list[click.Parameter] = [_option(option) for option in tool.options]
        if tool.operands:
            parameters.append(_operands(tool.operands))
        super().__init__(tool.name, params=parameters, help=summary, add_help_option=False)
        self.tool = tool
        self._run = run

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep every argument for the tool's own parser."""
        ctx.args = list(args)
        return ctx.args

    def invoke(self, ctx: click.Context) -> int:
        """Run the tool and return its exit status."""
        return self._run(list(ctx.args))

    def get_help(self, ctx: click.Context) -> str:
        """Return what the tool's ``--help`` prints."""
        return kmod_options.help_text(self.tool).rstrip("\n")


def _option(option: Option) -> click.Option:
    names = [f"-{option.short}"] * bool(option.short) + [f"--{name}" for name in option.names]
    # The last declaration is the name click gives the parameter.
    identifier = option.key.replace("-", "_")
    return click.Option(
        [*names, identifier if identifier.isidentifier() else f"option_{identifier}"],
        is_flag=not option.argument,
        metavar=option.argument or None,
        help=option.help,
        shell_complete=_COMPLETERS.get(option.argument),
    )


def _operands(kind: str) -> click.Argument:
    return click.Argument(["operands"], nargs=-1, shell_complete=_COMPLETERS.get(kind))


def _releases(_ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    return _items(_names_in(_MODULES), start)


def _directories(_ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    return [CompletionItem(start, type="dir")]


def _files(_ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    return [CompletionItem(start, type="file")]


def _fields(_ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    words = "alias author depends description filename firmware license name parm signer softdep"
    return _items([*words.split(), "srcversion", "vermagic", "version"], start)


def _modules(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    if "/" in start or start.startswith("."):
        return _files(ctx, param, start)
    return complete_modules(ctx, param, start)


def _loaded(_ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    try:
        lines = Path("/proc/modules").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return _items([line.partition(" ")[0] for line in lines], start)


def complete_modules(
    _ctx: click.Context, _param: click.Parameter, start: str
) -> list[CompletionItem]:
    """Offer the names of the running kernel's modules that begin with ``start``."""
    try:
        lines = (_MODULES / os.uname().release / "modules.dep").read_text(encoding="utf-8")
    except OSError:
        return []
    files = [line.partition(":")[0].rpartition("/")[2] for line in lines.splitlines()]
    names = [normalize(file.partition(".")[0]) for file in files]
    return _items(names, normalize(start))


def _names_in(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def _items(names: Iterable[str], start: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in sorted(names) if name.startswith(start)]


_COMPLETERS = {
    "VERSION": _releases,
    "DIR": _directories,
    "FILE": _files,
    "FIELD": _fields,
    "module": _modules,
    "loaded": _loaded,
    "file": _files,
}
