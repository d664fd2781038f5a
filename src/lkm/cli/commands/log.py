"""Show a kernel's log, decoded."""

from __future__ import annotations

import sys

import click

from lkm.cli.kernel_choice import kernel_option, opened
from lkm.cli.output import print_json
from lkm.kernel.kernel import Kernel
from lkm.kernel.log import LEVELS, LogRecord
from lkm.operations.running.follow import follow, select

_COLOURS = {0: "red", 1: "red", 2: "red", 3: "red", 4: "yellow"}


@click.command("log")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with what comes.")
@click.option("--module", metavar="MODULE", help="Only what is about this module.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="Only this or worse.")
@kernel_option()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(following: bool, module: str | None, level: str, where: str, as_json: bool) -> None:
    """Show the kernel log: time, facility, level, text; gaps where records were lost."""
    number = LEVELS.index(level)
    with opened(where) as kernel:
        if not following:
            _show_once(kernel, module, number, as_json)
            return
        for records in follow(kernel):
            for record in select(records, module=module, level=number):
                _print(record, as_json)
            sys.stdout.flush()


def _show_once(kernel: Kernel, module: str | None, level: int, as_json: bool) -> None:
    chosen = tuple(select(kernel.log(), module=module, level=level))
    if as_json:
        print_json("log", kernel=kernel.name, records=chosen)
        return
    for record in chosen:
        _print(record, as_json=False)


def _print(record: LogRecord, as_json: bool) -> None:
    if as_json:  # one document a line: a stream has no end to close a list at
        import msgspec

        document = {"schema": "lkm.log-record/1", **msgspec.to_builtins(record)}
        click.echo(msgspec.json.encode(document).decode())
        return
    if record.lost:
        click.echo(f"-- {record.lost} records lost --")
    head = f"[{record.seconds:12.6f}] {record.facility_name:<6} {record.level_name:<7} "
    first, *more = record.text.split("\n")
    colour = _COLOURS.get(record.level)
    click.echo(head + (click.style(first, fg=colour) if colour else first))
    for line in more:
        click.echo(" " * len(head) + line)
