"""Manual pages, made from the definitions that parse the command line and print ``--help``."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import click

from lkm.cli import kmod_options
from lkm.cli.examples import EXAMPLES
from lkm.cli.tool_command import ToolCommand


@dataclass(frozen=True, slots=True)
class Page:
    """The content of a command's manual page; ``options`` and ``commands`` are pairs with help."""

    name: str
    summary: str
    usage: tuple[str, ...]
    description: str
    options: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]
    examples: tuple[str, ...] = ()


def page_of(ctx: click.Context) -> Page:
    """Return the page of the command of ``ctx``."""
    command = ctx.command
    text = inspect.cleandoc(command.help or "")
    summary, _, rest = text.partition("\n\n")
    if isinstance(command, ToolCommand):
        tool = command.tool
        return Page(
            ctx.command_path,
            summary,
            tuple(f"lkm {tool.name} {usage}" for usage in tool.usage),
            tool.description,
            tuple((kmod_options.spelling(o).strip(), o.help) for o in tool.options),
            (),
            EXAMPLES.get(tool.name, ()),
        )
    options = (p for p in command.get_params(ctx) if isinstance(p, click.Option))
    records = (option.get_help_record(ctx) for option in options)
    return Page(
        ctx.command_path,
        summary.replace("\n", " "),
        (" ".join([ctx.command_path, *command.collect_usage_pieces(ctx)]),),
        rest,
        tuple(record for record in records if record),
        tuple(_subcommands(command, ctx)),
        EXAMPLES.get(ctx.info_name or "", ()),
    )


def _subcommands(command: click.Command, ctx: click.Context) -> Iterator[tuple[str, str]]:
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(ctx):
        sub = command.get_command(ctx, name)
        if sub and not sub.hidden:
            yield name, sub.get_short_help_str(limit=200)


def troff(page: Page, version: str) -> str:
    """Return ``page`` as a manual page in section 8, for man(1)."""
    title = page.name.replace(" ", "-")
    lines = [f'.TH "{title.upper()}" 8 "" "lkm {version}"']
    lines += [".SH NAME", f"{_escaped(title)} \\- {_escaped(page.summary.rstrip('.'))}"]
    lines.append(".SH SYNOPSIS")
    for usage in page.usage:
        lines += [".nf", _escaped(usage), ".fi"]
    if page.description:
        lines += [".SH DESCRIPTION", *_paragraphs(page.description)]
    lines += _definitions("OPTIONS", page.options)
    lines += _definitions("COMMANDS", page.commands)
    if page.examples:
        lines += [".SH EXAMPLES", ".nf", *map(_escaped, page.examples), ".fi"]
    return "\n".join(lines) + "\n"


def _definitions(title: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for index, (term, text) in enumerate(rows):
        if not index:
            yield f".SH {title}"
        yield from (".TP", f".B {_escaped(term)}", _escaped(text))


def _paragraphs(text: str) -> Iterator[str]:
    for index, paragraph in enumerate(text.split("\n\n")):
        if index:
            yield ".PP"
        for line in paragraph.splitlines():
            yield _escaped(line.strip())


def _escaped(text: str) -> str:
    """Return ``text`` with what troff would take for its own: backslashes, hyphens, requests."""
    safe = text.replace("\\", "\\e").replace("-", "\\-").replace("\b", "")
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe
