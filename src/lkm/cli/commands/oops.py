"""Explain an oops, BUG or warning: guilty module, source lines, instructions."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import click

from lkm.cli.findings import printable
from lkm.cli.output import print_json
from lkm.cli.reading import log_lines
from lkm.doctor import verdict
from lkm.operations import oops
from lkm.operations.oops import DecodedOops

_DETAILS, _FRAMES, _OTHER_FRAMES, _WIDEST = 12, 40, 8, 1000

_PATH = click.Path(exists=True, path_type=Path)


@click.command("oops")
@click.argument("log", metavar="[FILE|-]", default="-")
@click.option(
    "-m",
    "--module",
    "files",
    metavar="PATH",
    multiple=True,
    type=_PATH,
    help="A .ko with debug data, or a folder to look for modules in.",
)
@click.option("--vmlinux", type=_PATH, help="The kernel with debug data.")
@click.option(
    "--modules",
    "proc_modules",
    metavar="FILE",
    type=click.File(),
    help="The machine's /proc/modules, as root: tells which registers point into which module.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(
    log: str,
    files: tuple[Path, ...],
    vmlinux: Path | None,
    proc_modules: IO[str] | None,
    as_json: bool,
) -> int:
    """Read a kernel log (dmesg, journalctl -k, a console) and explain what crashed in it.

    Exit status: 0 when the log holds no report, 1 when it holds one or more.
    """
    ranges = oops.module_ranges(proc_modules.read()) if proc_modules else ()
    found = oops.decode(log_lines(log), files=files, vmlinux=vmlinux, modules=ranges)
    if as_json:
        print_json("oops", reports=found)
    elif not found:
        click.echo("no oops, BUG or warning in this log")
    else:
        click.echo("\n".join(text_of(report) for report in found), nl=False)
    return 1 if found else 0


def text_of(report: DecodedOops) -> str:
    """Return the report as text, a blank line between its parts."""
    parts = [_headline(report), _frames(report), _others(report), _instructions(report)]
    parts.append(_registers(report))
    parts.append("".join(f"note: {note}\n" for note in report.notes))
    return "\n".join(part for part in parts if part)


def _headline(report: DecodedOops) -> str:
    oops_ = report.oops
    lines = [f"{oops_.kind.value}: {printable(oops_.title[:_WIDEST])}"]
    lines.append(f"  what      {printable(report.words[:_WIDEST])}")
    # What the kernel says of it in words, the sentences that explain before anything decoded.
    lines += [f"  log       {printable(text[:_WIDEST])}" for text in oops_.details[:_DETAILS]]
    if report.suspect:
        lines.append(f"  suspect   {report.suspect.module}: {report.suspect.reason}")
    else:
        lines.append("  suspect   no module shows in it")
    if oops_.comm:
        pid = f" (pid {oops_.pid})" if oops_.pid is not None else ""
        cpu = f" on CPU {oops_.cpu}" if oops_.cpu is not None else ""
        lines.append(f"  task      {printable(oops_.comm)}{pid}{cpu}")
    if oops_.release:
        machine = f" ({oops_.machine})" if oops_.machine else ""
        lines.append(f"  kernel    {printable(oops_.release)}{machine}")
    for flag in oops_.taints:
        lines.append(f"  taint {flag.letter}   {flag.meaning}: {flag.cause}")
    if not oops_.complete:
        lines.append("  note      the log ends before the report does")
    return "".join(f"{line}\n" for line in lines)


def _frames(report: DecodedOops) -> str:
    if not report.frames:
        return ""
    lines = ["  where"]
    for frame in report.frames[:_FRAMES]:
        mark = "" if frame.location.reliable else "? "
        lines.append(f"    {mark}{frame.location}")
        for place in frame.source:
            name = f" ({place.function})" if place.function else ""
            lines.append(f"        {place.file}:{place.line}{name}")
            if place.text:
                lines.append(f"        | {place.text.strip()}")
    if len(report.frames) > _FRAMES:
        lines.append(f"    … {len(report.frames) - _FRAMES} more")
    return "".join(f"{line}\n" for line in lines)


def _others(report: DecodedOops) -> str:
    """The further traces: who allocated the object, who freed it."""
    lines = []
    for other in report.oops.others:
        lines.append(f"  {printable(other.title)}")
        told = [place for place in other.frames if not verdict.is_reporter(place.function)]
        lines += [f"    {place}" for place in (told or other.frames)[:_OTHER_FRAMES]]
    return "".join(f"{line}\n" for line in lines)


def _instructions(report: DecodedOops) -> str:
    if not report.instructions:
        return ""
    lines = ["  instructions"]
    for step in report.instructions:
        mark = "=>" if step.fault else "  "
        lines.append(f"  {mark} {step.offset:+6x}  {step.text or step.data.hex(' ')}")
    return "".join(f"{line}\n" for line in lines)


def _registers(report: DecodedOops) -> str:
    if not report.registers:
        return ""
    lines = ["  registers"]
    lines += [f"    {n.register:4} {n.value:016x}  {n.meaning}" for n in report.registers]
    return "".join(f"{line}\n" for line in lines)
