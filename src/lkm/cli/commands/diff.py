"""Tell what changed from one kernel's modules to another's."""

from __future__ import annotations

import click

from lkm.cli.output import ProgressLine, print_json
from lkm.operations.diff import Change, TreeDifference, diff

_SHOWN = 10


@click.command("diff")
@click.argument("before")
@click.argument("after")
@click.option("--all", "everything", is_flag=True, help="Every change, not the first of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(before: str, after: str, everything: bool, as_json: bool) -> int:
    """Compare two kernels: releases (fetched or installed) or root directories.

    Told are modules, parameters, aliases, and exported symbols with their CRCs: a changed CRC
    means that a module built against the old kernel does not load. The exit status is 1 when
    anything changed.
    """
    line = ProgressLine("modules", 1)
    try:
        difference = diff(before, after, line)
    finally:
        line.clear()
    if as_json:
        names = ("before", "after", "modules", "parameters", "aliases", "exports", "problems")
        print_json("diff", **{name: getattr(difference, name) for name in names})
    else:
        click.echo(text(difference, None if everything else _SHOWN), nl=False)
    return 1 if any(_kinds(difference).values()) else 0


def _kinds(difference: TreeDifference) -> dict[str, tuple[Change, ...]]:
    return {
        "modules": difference.modules,
        "parameters": difference.parameters,
        "aliases": difference.aliases,
        "exports": difference.exports,
    }


def text(difference: TreeDifference, shown: int | None) -> str:
    """Return the difference as a person reads it, at most ``shown`` changes of each kind."""
    lines = [f"{difference.before} → {difference.after}\n"]
    for kind, changes in _kinds(difference).items():
        gained = sum(change.before is None for change in changes)
        lost = sum(change.after is None for change in changes)
        changed = len(changes) - gained - lost
        lines.append(f"{kind}: {gained} gained, {lost} lost, {changed} changed\n")
        ordered = sorted(changes, key=lambda c: c.before is not None and c.after is not None)
        lines += [f"  {_line(kind, change)}\n" for change in ordered[:shown]]
        if shown is not None and len(changes) > shown:
            lines.append(f"  … and {len(changes) - shown} more; --all shows them\n")
    lines += [f"not read: {problem}\n" for problem in difference.problems]
    return "".join(lines)


def _line(kind: str, change: Change) -> str:
    name = {
        "modules": change.name,
        "parameters": f"{change.module}.{change.name}",
        "aliases": f"{change.name} ({change.module})",
        "exports": f"{change.name} ({change.module})",
    }[kind]
    if change.before is None:
        return f"+ {name}{f'  {change.after}' if change.after and kind != 'exports' else ''}"
    if change.after is None:
        return f"- {name}{f'  {change.before}' if change.before and kind != 'exports' else ''}"
    return f"~ {name}  {change.before or 'none'} → {change.after or 'none'}"
