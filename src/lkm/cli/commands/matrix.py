"""Say which modules load on which kernels, and what the others need."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Sequence

import click

from lkm import files
from lkm.cli.kernel_choice import complete_release
from lkm.cli.matrix_reports import ReportCell, junit, markdown, sarif, table
from lkm.cli.output import ProgressLine, print_json
from lkm.errors import UsageError
from lkm.operations import matrix as operation
from lkm.operations import source_matrix
from lkm.operations.matrix import Distance, Matrix, Row
from lkm.operations.matrix_confirm import Trial, confirm
from lkm.operations.source_matrix import SourceMatrixRequest, SourceOutcome, SourceRow
from lkm.operations.trial.trial import is_source

_MOST_ROWS = 40
_USUAL_COLUMNS = 80


@click.command("matrix")
@click.argument("subjects", metavar="MODULE|SOURCE...", nargs=-1, required=True)
@click.option(
    "--kernels",
    default="all",
    metavar="all|REL,...",
    help="Which kernels (default: all here).",
    shell_complete=complete_release,
)
@click.option("--build", "builds", is_flag=True,
              help="Build source on each kernel; alone: do not load it.")  # fmt: skip
@click.option("--try", "tries", is_flag=True, help="Load each into each kernel, emulated, too.")
@click.option("--make", multiple=True, metavar="VAR=VALUE", help="A variable for make.")
@click.option("--scheduler", default="", metavar="ADDRESS", help="A dask.distributed scheduler.")
@click.option("--junit", "junit_to", default="", metavar="FILE", help="Write JUnit XML there.")
@click.option("--sarif", "sarif_to", default="", metavar="FILE", help="Write SARIF there.")
@click.option("--markdown", "markdown_to", default="", metavar="FILE",
              help="Write a table in Markdown there; -: on standard output.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(
    *,
    subjects: tuple[str, ...],
    kernels: str,
    builds: bool,
    tries: bool,
    make: tuple[str, ...],
    scheduler: str,
    junit_to: str,
    sarif_to: str,
    markdown_to: str,
    as_json: bool,
) -> int:
    """Judge each MODULE (a file, a folder of them, or a name) or SOURCE on each kernel.

    Source (a .c file, a folder) is built and loaded on each kernel, emulated; what is missing of a
    kernel that is named is fetched. For a module's file it is predicted: loads; rebuild: build it
    again for that kernel; source change: what it uses is not there; never: it is no module for
    that machine.

    Exit status: 0 all load everywhere (kernels without headers are told, and do not count), 1 not
    so.
    """
    line = ProgressLine(unit="done", scale=1)
    names = kernels.split(",")
    sources = [subject for subject in subjects if is_source(subject) and not _has_modules(subject)]
    if sources and len(sources) < len(subjects):
        raise UsageError(
            "both source and modules are given",
            hint=f"ask about one kind at a time: lkm matrix {' '.join(sources)}",
        )
    try:
        if sources:
            rows = _of_source(
                sources, names, SourceMatrixRequest(builds and not tries, make), scheduler, line
            )
            cells = _source_cells(rows)
            content: dict[str, object] = {"source": rows}
            lines = list(table(cells, _columns()))
        else:
            if builds or make:
                raise UsageError("--build and --make are for source: a .c file or its folder")
            known = operation.kernels_named(names)
            found = operation.matrix(
                operation.module_paths(subjects), known, scheduler=scheduler, progress=line
            )
            trials = confirm(found, known, line) if tries else ()
            cells = _module_cells(found, trials)
            content = {"matrix": found, "trials": trials}
            lines = [*_text(found), *(_trials(trials) if tries else ())]
    finally:
        line.clear()
    shown = _write(cells, junit_to, sarif_to, markdown_to)
    if as_json:
        print_json("matrix", **content)
    elif not shown:
        click.echo("\n".join(lines))
    judged = [cell for cell in cells if not cell.is_skipped]
    return 0 if judged and all(cell.is_good for cell in judged) else 1


def _has_modules(folder: str) -> bool:
    """Whether a folder holds modules and nothing to build them of."""
    from lkm.build import kbuild

    return not folder.endswith(".c") and not kbuild.is_source(folder)


def _of_source(
    sources: Sequence[str],
    names: Sequence[str],
    request: SourceMatrixRequest,
    scheduler: str,
    line: ProgressLine,
) -> tuple[SourceRow, ...]:
    known = source_matrix.kernels_for_source(names, line)
    return source_matrix.source_matrix(sources, known, request, scheduler=scheduler, progress=line)


def _write(cells: Sequence[ReportCell], junit_to: str, sarif_to: str, markdown_to: str) -> bool:
    """Write the reports that were asked for; return whether one went to standard output."""
    from lkm import __version__

    shown = False
    for path, make in (
        (junit_to, junit),
        (sarif_to, lambda own: sarif(own, __version__)),
        (markdown_to, markdown),
    ):
        if path == "-":
            sys.stdout.write(make(cells))
            shown = True
        elif path:
            files.write_atomic(path, make(cells).encode("utf-8", "replace"))
    return shown


def _columns() -> int:
    return shutil.get_terminal_size((_USUAL_COLUMNS, 24)).columns


def _source_cells(rows: Sequence[SourceRow]) -> list[ReportCell]:
    return [
        ReportCell(
            row.source,
            row.source,
            cell.release,
            cell.outcome.value,
            cell.outcome in source_matrix.GOOD,
            cell.outcome is SourceOutcome.NOT_TRIED,
            cell.why,
            cell.decisive,
            cell.file,
            cell.line,
            cell.seconds,
        )
        for row in rows
        for cell in row.cells
    ]


def _module_cells(found: Matrix, trials: Sequence[Trial]) -> list[ReportCell]:
    tried = {(trial.path, trial.release): trial for trial in trials}
    cells = []
    for row in found.rows:
        for cell in row.cells:
            trial = tried.get((row.path, cell.release))
            differs = trial is not None and trial.agrees is False
            why = (
                f"predicted {cell.distance.value}, but: {trial.outcome}"
                if (trial is not None and differs)
                else cell.reason
            )
            good = cell.distance is Distance.LOADS and not differs
            cells.append(
                ReportCell(row.module, row.path, cell.release, cell.distance.value, good, why=why)
            )
    return cells


def _text(found: Matrix) -> list[str]:
    if len(found.rows) > _MOST_ROWS:
        return _summary(found)
    width = max(len("MODULE"), *(len(row.module) for row in found.rows))
    widths = [max(len(release), 13) for release in found.releases]
    if width + sum(column + 2 for column in widths) > _columns():
        return list(table(_module_cells(found, ()), _columns()))
    head = "  ".join(f"{r:{w}}" for r, w in zip(found.releases, widths, strict=True))
    lines = [f"{'MODULE':{width}}  {head}"]
    for row in found.rows:
        words = (f"{c.distance.value:{w}}" for c, w in zip(row.cells, widths, strict=True))
        lines.append(f"{row.module:{width}}  {'  '.join(words)}".rstrip())
    reasons = [reason for row in found.rows for reason in _reasons(row)]
    return [*lines, *([""] if reasons else []), *reasons]


def _reasons(row: Row) -> list[str]:
    """Return why the module does not load, each reason once with the kernels it holds for."""
    where: dict[str, list[str]] = {}
    for cell in row.cells:
        if cell.reason:
            where.setdefault(cell.reason, []).append(cell.release)
    return [f"{row.module} on {', '.join(on)}: {reason}" for reason, on in where.items()]


def _summary(found: Matrix) -> list[str]:
    words = {distance: distance.value for distance in Distance}
    width = max(len("KERNEL"), *(len(release) for release in found.releases))
    head = "  ".join(f"{word:>7}" for word in words.values())
    lines = [f"{'KERNEL':{width}}  {head}"]
    for place, release in enumerate(found.releases):
        counts = Counter(row.cells[place].distance for row in found.rows)
        numbers = "  ".join(f"{counts[d]:{max(len(word), 7)}}" for d, word in words.items())
        lines.append(f"{release:{width}}  {numbers}")
    findings = Counter(
        (cell.release, cell.finding) for row in found.rows for cell in row.cells if cell.finding
    )
    lines += ["", f"{len(found.rows)} modules; what keeps them, by kernel:"]
    lines += [
        f"{release:{width}}  {name:24} {count}"
        for (release, name), count in sorted(findings.items())
    ]
    return lines


def _trials(trials: tuple[Trial, ...]) -> list[str]:
    differ = [trial for trial in trials if trial.agrees is False]
    own = sum(trial.agrees is None for trial in trials)
    lines = ["", f"tried {len(trials)}: {len(trials) - len(differ) - own} as predicted, "
             f"{own} up to their own init, {len(differ)} otherwise"]  # fmt: skip
    lines += [f"  {trial.path} on {trial.release}: {trial.outcome}" for trial in differ]
    return lines
