"""Say which modules load on which kernels, and what the others need."""

from __future__ import annotations

from collections import Counter

import click

from lkm.cli.output import ProgressLine, print_json
from lkm.operations import matrix as operation
from lkm.operations.matrix import Distance, Matrix, Row
from lkm.operations.matrix_confirm import Trial, confirm

_MOST_ROWS = 40


@click.command("matrix")
@click.argument("modules", metavar="MODULE...", nargs=-1, required=True)
@click.option(
    "--kernels", default="all", metavar="all|REL,...", help="Which kernels (default: all here)."
)
@click.option("--try", "tries", is_flag=True, help="Load each into each kernel, emulated, too.")
@click.option("--scheduler", default="", metavar="ADDRESS", help="A dask.distributed scheduler.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(
    *,
    modules: tuple[str, ...],
    kernels: str,
    tries: bool,
    scheduler: str,
    as_json: bool,
) -> int:
    """Judge each MODULE (a file, a folder of them, or a name) on each kernel that is here.

    loads; rebuild: build it again for that kernel; source change: what it uses is not there;
    never: it is no module for that machine.

    Exit status: 0 all load everywhere, 1 not so.
    """
    line = ProgressLine(unit="modules", scale=1)
    try:
        known = operation.kernels_named(kernels.split(","))
        paths = operation.module_paths(modules)
        found = operation.matrix(paths, known, scheduler=scheduler, progress=line)
        trials = confirm(found, known, line) if tries else ()
    finally:
        line.clear()
    if as_json:
        print_json("matrix", matrix=found, trials=trials)
    else:
        click.echo(_text(found), nl=False)
        if tries:
            click.echo(_trials(trials), nl=False)
    everywhere = all(cell.distance is Distance.LOADS for row in found.rows for cell in row.cells)
    return 0 if everywhere and all(trial.agrees is not False for trial in trials) else 1


def _text(found: Matrix) -> str:
    if len(found.rows) > _MOST_ROWS:
        return _summary(found)
    width = max(len("MODULE"), *(len(row.module) for row in found.rows))
    widths = [max(len(release), 13) for release in found.releases]
    head = "  ".join(f"{r:{w}}" for r, w in zip(found.releases, widths, strict=True))
    lines = [f"{'MODULE':{width}}  {head}"]
    for row in found.rows:
        words = (f"{c.distance.value:{w}}" for c, w in zip(row.cells, widths, strict=True))
        lines.append(f"{row.module:{width}}  {'  '.join(words)}".rstrip())
    reasons = [reason for row in found.rows for reason in _reasons(row)]
    return "".join(f"{line}\n" for line in (*lines, *([""] if reasons else []), *reasons))


def _reasons(row: Row) -> list[str]:
    """Return why the module does not load, each reason once with the kernels it holds for."""
    where: dict[str, list[str]] = {}
    for cell in row.cells:
        if cell.reason:
            where.setdefault(cell.reason, []).append(cell.release)
    return [f"{row.module} on {', '.join(on)}: {reason}" for reason, on in where.items()]


def _summary(found: Matrix) -> str:
    lines = [f"{'KERNEL':28}  " + "  ".join(f"{d.value:>13}" for d in Distance)]
    for place, release in enumerate(found.releases):
        counts = Counter(row.cells[place].distance for row in found.rows)
        lines.append(f"{release:28}  " + "  ".join(f"{counts[d]:13}" for d in Distance))
    findings = Counter(
        (cell.release, cell.finding) for row in found.rows for cell in row.cells if cell.finding
    )
    lines += ["", f"{len(found.rows)} modules; what keeps them, by kernel:"]
    lines += [
        f"{release:28}  {name:24} {count}" for (release, name), count in sorted(findings.items())
    ]
    return "".join(f"{line}\n" for line in lines)


def _trials(trials: tuple[Trial, ...]) -> str:
    differ = [trial for trial in trials if trial.agrees is False]
    own = sum(trial.agrees is None for trial in trials)
    lines = ["", f"tried {len(trials)}: {len(trials) - len(differ) - own} as predicted, "
             f"{own} up to their own init, {len(differ)} otherwise"]  # fmt: skip
    lines += [f"  {trial.path} on {trial.release}: {trial.outcome}" for trial in differ]
    return "".join(f"{line}\n" for line in lines)
