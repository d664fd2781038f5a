"""Check modprobe.d for what does not do what it seems to."""

from __future__ import annotations

import click

from lkm.cli.output import print_json
from lkm.cli.tree_options import OpenTree, tree_options
from lkm.operations.lint.lint import lint
from lkm.operations.lint.tree import LintFinding, LintSeverity


@click.command("lint")
@tree_options
@click.option("--all", "everything", is_flag=True, help="Notes, too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(everything: bool, open_tree: OpenTree, as_json: bool) -> int:
    """Check modprobe.d and modules-load.d against the modules that are there.

    The exit status is 1 when there is an error or a warning.
    """
    findings = lint(open_tree())
    notes = [finding for finding in findings if finding.severity is LintSeverity.NOTE]
    if as_json:
        print_json("lint", findings=findings)
    else:
        for finding in findings:
            if everything or finding.severity is not LintSeverity.NOTE:
                click.echo(line(finding))
        if notes and not everything:
            click.echo(f"{len(notes)} notes; --all shows them", err=True)
    return 1 if len(notes) < len(findings) else 0


def line(finding: LintFinding) -> str:
    """Return a finding as compilers print theirs: place, severity, message, code."""
    text = f"{finding.source}: {finding.severity}: {finding.message} [{finding.code}]"
    return f"{text}\n    {finding.hint}" if finding.hint else text
