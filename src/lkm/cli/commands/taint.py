"""Say what taints a kernel, or what a taint value means."""

from __future__ import annotations

import click

from lkm.cli.kernel_choice import kernel_option, opened
from lkm.cli.output import print_json
from lkm.errors import UsageError
from lkm.operations.running import taint


@click.command("taint")
@click.argument("value", required=False)
@kernel_option()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(value: str | None, where: str, as_json: bool) -> None:
    """Explain the taint VALUE (a number, or letters as in a log), or a kernel's own taint.

    On a kernel, each flag is shown with the modules that carry it and the log lines about it.
    """
    if value is None:
        with opened(where) as kernel:
            report = taint.of_kernel(kernel)
    else:
        report = taint.of_value(_number(value))
    if as_json:
        print_json("taint", report=report)
    else:
        _print(report)


def _number(text: str) -> int:
    from lkm.taint import FLAGS, from_letters, value_of

    try:
        number = int(text, 0)
    except ValueError:
        letters = text.strip("()").replace("G", "").replace(" ", "")
        unknown = set(letters) - {flag.letter for flag in FLAGS}
        if unknown or not text.strip("() "):
            raise UsageError(
                f"{text!r} is neither a number nor taint letters",
                hint="for example 12289, 0x3001 or POE",
            ) from None
        return value_of(from_letters(letters))
    if not 0 <= number < 1 << 64:
        raise UsageError(f"a taint value is between 0 and 2^64, not {text}")
    return number


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
