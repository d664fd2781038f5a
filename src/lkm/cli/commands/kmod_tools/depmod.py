"""Write the index files of a tree of modules, reading only what has changed."""

from __future__ import annotations

import os
import sys

from lkm.cli import kmod_options
from lkm.cli.kmod_log import Log, Priority
from lkm.cli.kmod_options import HELP, JSON, VERSION, Option, Parsed, Tool
from lkm.operations.depmod import Order, index, is_up_to_date, show

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from lkm.depmod.request import IndexOutcome, Progress
    from lkm.depmod.rules import Report

TOOL = Tool(
    "depmod",
    ("-[aA] [options] [forced_version]",),
    (
        Option("a", "all", help="Index all modules (done when no files are named)"),
        Option("A", "quick", help="Do nothing if no module is newer than modules.dep"),
        Option("e", "errsyms", help="Report symbols nobody has (with -E or -F)"),
        Option("n", "show dry-run", help="Print the text files instead of writing"),
        Option("P", "symbol-prefix", "CHAR", "The architecture puts CHAR before symbols"),
        Option("C", "config", "PATH", "Read this configuration instead (repeatable)"),
        Option("v", "verbose", help="Print which symbol makes a module need another"),
        Option("w", "warn", help="Warn on duplicates"),
        Option("b", "basedir", "DIR", "Use an image of a module tree"),
        Option("m", "moduledir", "DIR", "Use DIR instead of lib/modules"),
        Option("o", "outdir", "DIR", "Write below DIR instead of the base directory"),
        Option("F", "filesyms", "FILE", "System.map: the symbols the kernel has"),
        Option("E", "symvers", "FILE", "Module.symvers: the same, with their CRCs"),
        Option("u", "unresolved-error", help="Ignored (deprecated)"),
        Option("q", "quiet", help="Ignored (deprecated)"),
        Option("r", "root", help="Ignored (deprecated)"),
        Option("", "map", help="Ignored (deprecated)"),
        Option("", "no-cache", help="Read all modules, and keep nothing", own=True),
        JSON,
        VERSION,
        HELP,
    ),
    "Without files, all modules of the running kernel (or of forced_version) are indexed.",
    operands="",
)

_DEPRECATED = {"unresolved-error": "u", "quiet": "q", "root": "r", "map": "m"}


class _Refused(Exception):
    """The command line cannot be carried out; the message has been printed."""


def run(arguments: list[str]) -> int:
    """Run depmod with ``arguments`` and return its exit status (0 or 1)."""
    return kmod_options.run(TOOL, arguments, _body)


def _body(parsed: Parsed) -> int:
    verbose = sum(key == "verbose" for key, _ in parsed.options)
    log = Log("depmod", Priority.WARNING + verbose)

    def report(level: str, text: str) -> None:
        log(getattr(Priority, level), text)

    for key, _ in parsed.options:
        if key in _DEPRECATED:
            report("WARNING", f"Ignored deprecated option -{_DEPRECATED[key]}")
    try:
        order = _order(parsed, report)
        if parsed.has("quick") and (parsed.has("show") or is_up_to_date(order, report)):
            return 0
        return _carry_out(order, parsed, report, verbose)
    except _Refused:
        return 1


def _order(parsed: Parsed, report: Report) -> Order:
    release, files = _operands(parsed, report)
    prefix = parsed.last("symbol-prefix") or ""
    if len(prefix) > 1:
        report("FATAL", "-P only takes a single char")
        raise _Refused
    inside = f"{(parsed.last('moduledir') or 'lib/modules').strip('/')}/{release}"
    base = _absolute(parsed.last("basedir"))
    target = _absolute(parsed.last("outdir")) or base
    unknown = parsed.has("errsyms")
    if unknown and not parsed.has("symvers") and not parsed.has("filesyms"):
        report("WARNING", "-e needs -E or -F")
        unknown = False
    return Order(
        directory=f"{base}/{inside}",
        release=release,
        output=f"{target}/{inside}",
        config=parsed.all("config"),
        files=files,
        prefix=prefix,
        warn_twice=parsed.has("warn"),
        report_unknown=unknown,
        system_map=parsed.last("filesyms") or "",
        symvers=parsed.last("symvers") or "",
        cached=not parsed.has("no-cache"),
    )


def _absolute(path: str | None) -> str:
    """Return ``path`` from the root on, without a slash at its end."""
    if path is None:
        return ""
    return (path if path.startswith("/") else f"{os.getcwd()}/{path}").rstrip("/")


def _operands(parsed: Parsed, report: Report) -> tuple[str, tuple[str, ...]]:
    """Return the kernel release and the files named after it."""
    if not parsed.operands:
        return os.uname().release, ()
    release, *files = parsed.operands
    if not _is_version(release):
        report("ERROR", f"Bad version passed {release}")
        raise _Refused
    if parsed.has("all") or parsed.has("quick"):
        return release, ()
    for path in files:
        if not path.startswith("/"):
            report("FATAL", f"{path}: not absolute path.")
            raise _Refused
        try:
            os.stat(path)
        except OSError as error:
            report("FATAL", f"could not create module {path}: {error.strerror}")
            raise _Refused from None
    return release, tuple(files)


def _is_version(text: str) -> bool:
    """Say whether ``sscanf(text, "%u.%u")`` finds both numbers."""
    major, dot, minor = text.lstrip().partition(".")
    minor = minor.lstrip()
    first = minor[:2] if minor[:1] in ("+", "-") else minor[:1]
    return bool(dot) and _is_number(major) and _is_number(first)


def _is_number(text: str) -> bool:
    digits = text[1:] if text[:1] in ("+", "-") else text
    return digits.isascii() and digits.isdigit()


def _carry_out(order: Order, parsed: Parsed, report: Report, verbose: int) -> int:
    line = _progress()
    explain = print if verbose else None
    try:
        if parsed.has("show"):
            for text in show(order, report, line):
                sys.stdout.buffer.write(text)
            return 0
        outcome = index(order, report, line, explain)
    except BrokenPipeError:
        raise  # whoever was shown the files has seen enough
    except OSError as error:
        _report_failure(order, error, report)
        return 1
    finally:
        line(0, 0)
    if parsed.has("json"):
        _print_json(order, outcome)
    return 1 if outcome.cycles else 0


def _report_failure(order: Order, error: OSError, report: Report) -> None:
    if error.filename in (order.system_map, order.symvers):
        report("FATAL", f"could not load {error.filename}: {error.strerror}")
    elif error.filename == order.directory:
        report("ERROR", f"could not open directory {order.directory}: {error.strerror}")
        report("FATAL", f"could not search modules: {error.strerror}")
    else:
        place = error.filename or order.output
        report("FATAL", f"could not write index files: {place}: {error.strerror}")


def _progress() -> Progress:
    """Return what shows the progress on a terminal; called with a total of 0 it clears the line."""
    if not sys.stderr.isatty():
        return lambda done, total: None
    from lkm.cli.output import ProgressLine  # only on a terminal

    line = ProgressLine("modules", 1)
    return lambda done, total: line("reading", done, total) if total else line.clear()


def _print_json(order: Order, outcome: IndexOutcome) -> None:
    from lkm.cli.output import print_json  # only for JSON

    print_json(
        "depmod",
        release=order.release,
        directory=order.directory,
        output=order.output,
        modules=outcome.modules,
        read=outcome.read,
        written=outcome.written,
        cycles=outcome.cycles,
    )
