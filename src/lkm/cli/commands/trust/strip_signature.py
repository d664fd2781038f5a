"""Take the signature off modules."""

from __future__ import annotations

import click

from lkm.cli.output import ProgressLine, print_json
from lkm.cli.signing_output import check, options, report
from lkm.operations import module_files
from lkm.operations.trust import sign


@click.command("strip-signature")
@click.argument("modules", metavar="MODULE|DIR...", nargs=-1, required=True)
@options
def command(modules: tuple[str, ...], in_place: bool, out: str | None, as_json: bool) -> int:
    """Give modules back the bytes they had before they were signed.

    Use this rather than strip(1): what is changed inside a signed module makes every kernel that
    knows its key refuse it.
    """
    check(in_place, out)
    line = ProgressLine("modules", 1)
    try:
        results = sign.strip_modules(module_files.find(modules), out=out, progress=line)
    finally:
        line.clear()
    if as_json:
        print_json("strip-signature", modules=results)
    return report(results, "stripped", quiet=as_json)
