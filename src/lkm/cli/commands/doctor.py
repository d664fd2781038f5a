"""Say whether a module will load, and if not why, with the fix."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lkm.cli import findings
from lkm.cli.output import print_json
from lkm.cli.reading import log_lines
from lkm.cli.target_options import target_options
from lkm.doctor.finding import Finding, Severity
from lkm.errors import UsageError
from lkm.operations import doctor
from lkm.operations.doctor import Examination, Examined, Where

if TYPE_CHECKING:
    from lkm.operations.log_explanation import LogReading

_SHOWN = 60


@click.command("doctor")
@click.argument("subject", metavar="[NAME|FILE]", default="")
@click.argument("parameters", metavar="[PARAM=VALUE]...", nargs=-1)
@click.option(
    "--log",
    "log",
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    help="Explain a kernel log or a pasted error (- reads it from standard input).",
)
@click.option("--in-use", is_flag=True, help="Say who uses a loaded module.")
@click.option("--all", "show_all", is_flag=True, help="Show the checks it passed, too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@target_options
def command(
    *,
    subject: str,
    parameters: tuple[str, ...],
    log: str | None,
    in_use: bool,
    show_all: bool,
    as_json: bool,
    where: Where,
) -> int:
    """Say, before loading it, whether a module will load, and if not why, with the fix.

    A FILE is judged as insmod would load it, a NAME as modprobe would. The target is the running
    kernel; where nothing is known of that one, the kernel the module was built for.

    Exit status: 0 it loads, 1 it will not.
    """
    if log is not None:
        return _explain(log, None if where == Where() else where, as_json)
    if not subject:
        raise UsageError("a module's name or file is missing", hint="lkm doctor --help")
    if in_use:
        return _users(subject, where.kernel, as_json)
    opened = doctor.open_target(replace(where, module=subject))
    found = doctor.examine(subject, parameters, opened)
    if as_json:
        print_json("doctor", examination=found)
    else:
        click.echo(_text(found, show_all=show_all), nl=False)
    return 0 if found.loads else 1


def _explain(log: str, where: Where | None, as_json: bool) -> int:
    from lkm.operations.log_explanation import read_log  # all the known messages

    opened = doctor.open_target(where) if where else None
    read = read_log(log_lines(log), opened)
    found = read.explanations
    if as_json:
        print_json("doctor-log", explanations=found, host=_host(read), unexplained=read.unexplained)
    else:
        click.echo(_told(read), nl=False)
    return 1 if any(each.finding.severity is Severity.FATAL for each in found) else 0


def _host(read: LogReading) -> dict[str, str]:
    distribution = read.host.distribution
    return {
        "distribution": distribution.name if distribution else "",
        "release": read.host.release,
        "why": read.host.why,
    }


def _told(read: LogReading) -> str:
    from lkm.operations.log_explanation import with_line

    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for each in read.explanations:
        found = each.finding
        key = (found.name, found.module, "" if found.subject else found.cause)
        groups.setdefault(key, []).append(_of_module(with_line(each)))
    parts = [findings.group_text(group) for group in list(groups.values())[:_SHOWN]]
    if len(groups) > _SHOWN:
        parts.append(f"and {len(groups) - _SHOWN} more causes; --json has them all\n")
    if not read.explanations:
        parts.append("nothing in this text is a failed load that the doctor knows\n")
    if read.unexplained and not any(_is_fatal(each.finding) for each in read.explanations):
        lines = (
            f"  line {number}: {findings.printable(text)}\n" for number, text in read.unexplained
        )
        parts.append("these lines look like errors, and are not known:\n" + "".join(lines))
    if read.host.distribution and parts and read.explanations:
        parts.append(
            f"machine: {read.host.distribution.name} ({findings.printable(read.host.why)})\n"
        )
    return "\n".join(parts)


def _of_module(finding: Finding) -> Finding:
    """Return the finding with its module named in the cause: a log is of many."""
    if not finding.module or finding.module in finding.cause:
        return finding
    return replace(finding, cause=f"{finding.module}: {finding.cause}")


def _is_fatal(finding: Finding) -> bool:
    return finding.severity is Severity.FATAL


def _users(module: str, kernel: str, as_json: bool) -> int:
    from lkm.operations.running import users  # reads all of /proc; for this option only

    finding = users.who_uses(module, kernel or "live")
    if as_json:
        print_json("doctor-users", finding=finding)
    else:
        click.echo(findings.text_of(finding), nl=False)
    return 1 if finding.severity is Severity.FATAL else 0


def _text(found: Examination, *, show_all: bool) -> str:
    word = "loads" if found.loads else "will not load"
    parts = [f"{found.subject} {word} into {found.target} ({found.why})\n"]
    parts += [_step(step, found, show_all=show_all) for step in found.steps]
    return "\n".join(part for part in parts if part)


def _step(step: Examined, found: Examination, *, show_all: bool) -> str:
    """Return what there is to say of one module on the way."""
    shown = [
        each
        for each in step.judgement.findings
        if show_all or each.severity is not Severity.NOTE or not each.message
    ]
    text = findings.grouped(shown)
    several = len(found.steps) > 1
    if not show_all:
        return f"{step.module} ({step.reason})\n{text}" if text and several else text
    given = f" {step.parameters}" if step.parameters else ""
    passed = ", ".join(step.judgement.passed)
    return f"{step.module} ({step.reason}){given}: passed {passed}\n{text}"
