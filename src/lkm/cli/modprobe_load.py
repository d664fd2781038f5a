"""Carry out modprobe's plan on a kernel, and remove modules."""

from __future__ import annotations

import errno
import sys

from lkm.cli import refusal
from lkm.cli.kernel_choice import opened
from lkm.cli.kmod_log import Log, Priority
from lkm.cli.modprobe_settings import Settings
from lkm.kernel.kernel import Kernel, LoadFlags
from lkm.operations.resolve import indexed_root
from lkm.operations.running.load import LoadFailure, LoadOptions, carry_out
from lkm.operations.running.unload import Obstacle, Problem, Remover, UnloadOptions
from lkm.tree.plan import Plan
from lkm.tree.resolver import Resolver

# tools/modprobe.c: insmod
_WORDS = {
    errno.EEXIST: "Module already in kernel",
    errno.ENOENT: "Unknown symbol in module, or unknown parameter (see dmesg)",
}

_FATAL = {
    Obstacle.NOT_FOUND: "not found.",
    Obstacle.NOT_LOADED: "is not in kernel.",
    Obstacle.BUILTIN: "is builtin.",
    Obstacle.IN_USE: "is in use.",
}


def load(plan: Plan, kernel: Kernel, settings: Settings, log: Log) -> int:
    """Carry out ``plan`` and return the exit status, which the last target decides."""
    flags = LoadFlags.NONE
    if settings.force_vermagic:
        flags |= LoadFlags.IGNORE_VERMAGIC
    if settings.force_modversion:
        flags |= LoadFlags.IGNORE_MODVERSIONS
    options = LoadOptions(flags, settings.first_time, settings.dry_run)
    failures = carry_out(plan, kernel, options)
    for failure in failures:
        if failure:
            _report_failure(failure, kernel, log)
    return 1 if failures and failures[-1] else 0


def _report_failure(failure: LoadFailure, kernel: Kernel, log: Log) -> None:
    if failure.detail:
        log(Priority.ERROR, failure.detail)
    reason = refusal.outcome_text(failure.errno, failure.signal, _WORDS)
    log(Priority.ERROR, f"could not insert '{failure.module}': {reason}")
    if log.threshold >= Priority.ERROR:
        refusal.kernel_log(failure.log)
        if failure.step.path and not failure.detail:
            refusal.because(kernel, failure.step.path, failure.step.options, failure)


def remove(resolver: Resolver, kernel: Kernel, settings: Settings, log: Log) -> int:
    """Remove ``settings.names`` from the kernel and return the exit status."""
    options = UnloadOptions(
        force=settings.force,
        ignore_commands=settings.ignore_commands,
        first_time=settings.first_time,
        dry_run=settings.dry_run,
        remove_holders=settings.remove_holders,
        wait=(settings.wait or 0) / 1000,
        go_on=settings.all,
    )
    status = 0
    for name in settings.names:
        remover = Remover(kernel, resolver, options, _show if settings.shows else None)
        if not remover.remove(name):
            status = 1
        for problem in remover.problems:
            _report_problem(problem, settings, log)
        if any(problem.obstacle in _FATAL for problem in remover.problems) and not settings.all:
            return 1
    return status


def _show(action: str, module: str, command: str) -> None:
    sys.stdout.write(f"{action} {command or module}\n")


def _report_problem(problem: Problem, settings: Settings, log: Log) -> None:
    if problem.obstacle in _FATAL:
        priority = Priority.WARNING if settings.all else Priority.FATAL
        log(priority, f"Module {problem.module} {_FATAL[problem.obstacle]}")
        return
    reason = refusal.outcome_text(problem.errno, problem.signal, {})
    log(Priority.ERROR, problem.detail or f"could not remove '{problem.module}': {reason}")
    if log.threshold >= Priority.ERROR:
        refusal.kernel_log(problem.log)


def open_for(settings: Settings) -> Kernel:
    """Open the kernel that modprobe shall change."""
    return opened(settings.where)


def tree_of(kernel: Kernel, settings: Settings) -> tuple[str | None, str | None]:
    """Return the root directory and release whose modules are meant: the kernel's own, by default.

    For the live kernel, and where ``-d`` or ``-S`` is given, that is as kmod has it.
    """
    given = settings.directory or settings.release
    if given or kernel.syscalls.shares_host_files:
        return settings.directory, settings.release
    root = indexed_root(kernel.release)
    return root.directory, root.release
