"""Titled blocks for people: plain text, or colours and lines in a terminal."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lkm.cli.text import printable

if TYPE_CHECKING:
    from rich.table import Table as RichTable
    from rich.text import Text

_PLAIN_WIDTH = 100
_STYLES = {"good": "green", "bad": "bold red", "warn": "yellow", "dim": "dim", "name": "cyan"}


@dataclass(frozen=True, slots=True)
class Styled:
    """Text with a meaning: ``good``, ``bad``, ``warn``, ``dim`` or ``name``."""

    text: str
    style: str

    def __str__(self) -> str:
        return self.text


Cell = str | Styled


@dataclass(frozen=True, slots=True)
class Pairs:
    """Labels and what they say; a row without text is left out."""

    title: str
    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below column names; a column whose name begins with ``>`` is set to the right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


Block = Pairs | Table


def show(title: str, subtitle: str, blocks: Sequence[Block]) -> None:
    """Print the blocks that have rows below a title: richly in a terminal, plainly elsewhere."""
    filled = [block for block in map(_without_empty, blocks) if block.rows]
    title, subtitle = one_line(title), one_line(subtitle)
    if sys.stdout.isatty():
        _show_richly(title, subtitle, filled)
    else:
        sys.stdout.write(plain(title, subtitle, filled))


def _without_empty(block: Block) -> Block:
    if isinstance(block, Table):
        return block
    return Pairs(block.title, tuple(row for row in block.rows if str(row[1])))


def plain(title: str, subtitle: str, blocks: Sequence[Block]) -> str:
    """Return the text that is written to a file or pipe."""
    lines = [title, *([subtitle] if subtitle else [])]
    for block in blocks:
        lines += ["", block.title]
        lines += _plain_pairs(block) if isinstance(block, Pairs) else _plain_table(block)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _plain_pairs(block: Pairs) -> list[str]:
    width = max(len(label) for label, _ in block.rows) + 4
    lines = []
    for label, value in block.rows:
        wrapped = [
            line
            for part in printable(str(value), "\n").split("\n")
            for line in textwrap.wrap(part, _PLAIN_WIDTH - width, break_on_hyphens=False) or [""]
        ]
        lines.append(f"  {label:<{width - 2}}{wrapped[0]}")
        lines += [" " * width + line for line in wrapped[1:]]
    return lines


def _plain_table(block: Table) -> list[str]:
    rows = [tuple(name.lstrip(">").upper() for name in block.columns)]
    rows += [tuple(one_line(str(cell)) for cell in row) for row in block.rows]
    widths = [max(len(row[n]) for row in rows) for n in range(len(block.columns))]
    right = [name.startswith(">") for name in block.columns]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if on_right else cell.ljust(width)
            for cell, width, on_right in zip(row, widths, right, strict=True)
        )
        for row in rows
    ]


def one_line(text: str) -> str:
    """Return ``text`` as one printable line."""
    return " ".join(printable(text, "\n").split())


def _show_richly(title: str, subtitle: str, blocks: Sequence[Block]) -> None:
    # Imported for terminals only: it takes as long as everything else together.
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(title, style="bold"))
    if subtitle:
        console.print(Text(subtitle, style="dim"))
    for block in blocks:
        console.print()
        console.print(Text(block.title, style="bold magenta"))
        console.print(_rich_pairs(block) if isinstance(block, Pairs) else _rich_table(block))


def _rich_pairs(block: Pairs) -> RichTable:
    from rich.table import Table as RichTable

    grid = RichTable.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in block.rows:
        grid.add_row(f"  {label}", _rich_text(value))
    return grid


def _rich_table(block: Table) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable

    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=True, header_style="dim")
    for name in block.columns:
        right = name.startswith(">")
        grid.add_column(name.lstrip(">"), justify="right" if right else "left", overflow="fold")
    for row in block.rows:
        grid.add_row(*map(_rich_text, row))
    return grid


def _rich_text(cell: Cell) -> Text:
    from rich.text import Text

    style = _STYLES[cell.style] if isinstance(cell, Styled) else ""
    return Text(printable(str(cell), "\n"), style=style)
