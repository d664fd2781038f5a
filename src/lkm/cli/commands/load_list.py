"""Load the modules that modules-load.d names, as at boot."""

from __future__ import annotations

import click

from lkm.cli import refusal
from lkm.cli.kernel_choice import kernel_option, opened
from lkm.cli.output import print_json
from lkm.operations.resolve import indexed_root
from lkm.operations.running.load_list import ListedLoad, configured, load_all
from lkm.tree.root import Root


@click.command("load-list")
@click.option("--root", default="/", metavar="DIR", help="Read the configuration of this root.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what is configured.")
@kernel_option()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(root: str, dry_run: bool, where: str, as_json: bool) -> int:
    """Load every configured module, several at once where possible; status 1 if one failed."""
    rules = configured(Root(root))
    if dry_run:
        if as_json:
            print_json("load-list", configured=rules)
        for rule in () if as_json else rules:
            click.echo(f"{rule.name}  {rule.source}")
        return 0
    with opened(where) as kernel:
        live = kernel.syscalls.shares_host_files
        tree = Root(root, kernel.release) if live else indexed_root(kernel.release)
        results = []
        for loaded in load_all(kernel, rules, tree):
            results.append(loaded)
            if not as_json:
                _print(loaded)
    if as_json:
        print_json("load-list", modules=results)
    return 0 if all(loaded.ok for loaded in results) else 1


def _print(loaded: ListedLoad) -> None:
    reason = ""
    if loaded.failure:
        failure = loaded.failure
        reason = f": {refusal.outcome_text(failure.errno, failure.signal, {})}"
    click.echo(f"{loaded.name}: {loaded.result.value}{reason}  ({loaded.source})")
    if loaded.failure:
        refusal.kernel_log(loaded.failure.log)
