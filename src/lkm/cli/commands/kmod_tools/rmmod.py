"""Remove modules from a kernel."""

from __future__ import annotations

import os

from lkm.cli import refusal
from lkm.cli.kernel_choice import KERNEL, opened, tell_passing
from lkm.cli.kmod_log import Log, Priority
from lkm.cli.kmod_options import HELP, JSON, VERSION, Option, Parsed, Tool
from lkm.cli.kmod_options import run as run_tool
from lkm.cli.output import print_json
from lkm.module.image import name_of
from lkm.operations.running.unload import Obstacle, Problem, unload

TOOL = Tool(
    "rmmod",
    ("[options] modulename ...",),
    (
        Option("f", "force", help="Unload even when in use: the kernel may crash"),
        Option("s", "syslog", help="Print to syslog, not stderr"),
        Option("v", "verbose", help="Print more messages"),
        Option("w", help="Ignored, for compatibility"),
        VERSION,
        HELP,
        KERNEL,
        JSON,
    ),
)


def run(arguments: list[str]) -> int:
    """Run ``rmmod ARGUMENTS``."""
    return run_tool(TOOL, arguments, _rmmod)


def _rmmod(parsed: Parsed) -> int:
    log = Log("rmmod", syslog=parsed.has("syslog"))
    if not parsed.operands:
        log(Priority.ERROR, "missing module name.")
        return 1
    problems: list[Problem] = []
    with opened(parsed.last("kernel")) as kernel:
        for word in parsed.operands:
            name = name_of(word) if os.path.exists(word) else word
            problem = unload(kernel, name, force=parsed.has("force"))
            if problem:
                problems.append(problem)
                _report(word, problem, log)
        if parsed.has("json"):
            print_json("rmmod", kernel=kernel.name, problems=problems)
        elif any(problem.obstacle is Obstacle.NOT_LOADED for problem in problems):
            advice = "no module is loaded in it yet (lkm try FILE loads and unloads one)"
            tell_passing("rmmod", parsed.last("kernel"), advice)
    return 1 if problems else 0


def _report(word: str, problem: Problem, log: Log) -> None:
    if problem.obstacle is Obstacle.REFUSED:
        reason = refusal.outcome_text(problem.errno, problem.signal, {})
        text = f"could not remove module {word}: {reason}"
    else:
        text = obstacle_text(problem)
    log(Priority.ERROR, text)
    refusal.kernel_log(problem.log)


def obstacle_text(problem: Problem) -> str:
    """Return kmod's words for what keeps a module (``tools/rmmod.c: check_module_inuse``)."""
    module = problem.module
    return {
        Obstacle.BUILTIN: f"Module {module} is builtin.",
        Obstacle.NOT_LOADED: f"Module {module} is not currently loaded",
        Obstacle.HELD: f"Module {module} is in use by: {' '.join(problem.holders)}",
        Obstacle.IN_USE: f"Module {module} is in use",
        Obstacle.NO_UNLOADING: "Module unloading is not supported",
    }.get(problem.obstacle, problem.detail)
