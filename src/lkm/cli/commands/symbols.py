"""List what a kernel and its modules export, to whom, and who uses it."""

from __future__ import annotations

import click

from lkm.cli.kernel_choice import complete_release
from lkm.cli.output import ProgressLine, print_json
from lkm.operations.exported_symbols import ExportedSymbol, exported_symbols

_SHOWN = 8


@click.command("symbols")
@click.argument("pattern", metavar="[PATTERN]", default="*")
@click.option("--kernel", default="", metavar="RELEASE|PATH", help="Of which kernel.",
              shell_complete=complete_release)  # fmt: skip
@click.option("--users", is_flag=True, help="Also the modules that use each.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(pattern: str, kernel: str, users: bool, as_json: bool) -> None:
    """List the symbols that modules may use, by name or shell pattern.

    For each: the checksum of its type, whether it is for modules under the GPL only, its
    namespace, and who exports it (vmlinux: the kernel itself). Where no kernel is named it is the
    running one, else the newest that is here.
    """
    line = ProgressLine(unit="modules", scale=1)
    release = kernel.rpartition(":")[2] if kernel.startswith(("emulated:", "vm:")) else kernel
    try:
        found = exported_symbols(pattern, release, with_users=users, progress=line)
    finally:
        line.clear()
    if as_json:
        print_json("symbols", release=found.release, symbols=found.symbols)
        return
    click.echo(f"kernel {found.release}", err=True)
    for symbol in found.symbols:
        click.echo(_line(symbol))


def _line(symbol: ExportedSymbol) -> str:
    crc = "-" if symbol.crc is None else f"{symbol.crc:#010x}"
    space = f" namespace {symbol.namespace}" if symbol.namespace else ""
    text = f"{crc:10}  {'GPL' if symbol.gpl else '-':3}  {symbol.owner}: {symbol.name}{space}"
    if symbol.users is None:
        return text
    shown = ", ".join(symbol.users[:_SHOWN])
    more = f", … {len(symbol.users) - _SHOWN} more" if len(symbol.users) > _SHOWN else ""
    return f"{text}\n            used by {shown or 'no module of this kernel'}{more}"
