"""Say what taints a kernel, or what a taint value means."""

from __future__ import annotations

import click

from lkm.cli.kernel_choice import kernel_option, opened
from lkm.cli.output import print_json
from lkm.operations.running import taint


@click.command("taint")
@click.argument("value", nargs=-1)
@kernel_option()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(value: tuple[str, ...], where: str, as_json: bool) -> None:
    """Explain the taint VALUE, or a kernel's own taint.

    VALUE is a number, letters, or what a log has of it: ``Tainted: G  OE  6.1.0-18-amd64``,
    ``[O]=OOT_MODULE``.

    On a kernel, each flag is shown with the modules that carry it and the log lines about it.
    """
    if not value:
        with opened(where) as kernel:
            report = taint.of_kernel(kernel)
    else:
        report = taint.of_text(" ".join(value))
    if as_json:
        print_json("taint", report=report)
    else:
        _print(report)


def _print(report: taint.TaintReport) -> None:
    if not report.value:
        click.echo("not tainted")
        return
    click.echo(f"{report.value} = {report.letters}")
    for cause in report.causes:
        flag = cause.flag
        click.echo(f"  bit {flag.bit:<2} {flag.letter}  {flag.meaning}: {flag.cause}")
        if cause.modules:
            click.echo(f"            by {', '.join(cause.modules)}")
        for line in cause.log:
            click.echo(f"            log: {line}")
