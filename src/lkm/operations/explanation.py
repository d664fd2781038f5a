"""Why a load failed, right after it did: from what was logged, and the file itself."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from errno import ENOSYS

from lkm.doctor import distributions, log
from lkm.doctor.causes import permission, state
from lkm.doctor.distribution_table import DISTRIBUTIONS
from lkm.doctor.finding import Finding, Severity
from lkm.doctor.rules.all_rules import RULES
from lkm.doctor.rules.errno_alone import could_not_insert
from lkm.errors import LkmError
from lkm.kernel.kernel import Kernel
from lkm.module.image import name_of
from lkm.operations import doctor, targets
from lkm.operations.doctor import Examination


def first_finding(
    kernel: Kernel,
    path: str,
    parameters: str = "",
    *,
    errno: int = 0,
    signal: int = 0,
    lines: Sequence[str] = (),
) -> Finding:
    """Return the cause of a refused load of the file ``path``.

    ``errno`` and ``lines`` are what the kernel answered and logged. The log names most causes;
    the look-alikes in it, and those it is silent about, are told apart by judging the file.
    """
    finding = _finding(kernel, path, parameters, errno=errno, signal=signal, lines=lines)
    try:
        release = kernel.release
    except OSError:  # without /proc the words are nobody's in particular
        release = ""
    return distributions.adapted(finding, distributions.host_of_release(release, DISTRIBUTIONS))


def _finding(
    kernel: Kernel, path: str, parameters: str, *, errno: int, signal: int, lines: Sequence[str]
) -> Finding:
    module = name_of(path)
    if errno == ENOSYS and not kernel.exists("/proc/modules"):
        return permission.no_module_support()
    if signal:
        return state.init_crashed(module, signal)
    logged = [each.finding for each in log.explain("\n".join(lines), RULES)]
    judged = _judged(kernel, path, parameters)
    warned = _warned(judged) if judged is not None else frozenset()
    fatal = [f for f in logged if f.severity is Severity.FATAL and f.name not in warned]
    decisive = judged.decisive if judged is not None else None
    if decisive is not None and decisive.errno == errno:
        return decisive
    if fatal:
        return _of_file(fatal[-1], path)
    if judged is None:
        return could_not_insert(module, errno)
    # Nothing stood against it: its own init function refused.
    return state.init_returned(module, errno)


def _of_file(finding: Finding, path: str) -> Finding:
    """Name the file in the commands of a finding that was made of the log, which does not."""
    fixes = [
        replace(
            fix, commands=tuple(c.replace("MODULE.ko", shlex.quote(path)) for c in fix.commands)
        )
        for fix in finding.fixes
    ]
    return replace(finding, fixes=tuple(fixes))


def _warned(judged: Examination) -> frozenset[str]:
    """Return what this kernel only warns of, though its words are those of others that refuse."""
    findings = (finding for step in judged.steps for finding in step.judgement.findings)
    return frozenset(f.name for f in findings if f.severity is Severity.WARNING)


def _judged(kernel: Kernel, path: str, parameters: str) -> Examination | None:
    """Judge the file; ``None`` where nothing here tells what the kernel exports."""
    try:
        opened = targets.of_running(kernel)
        words = (parameters,) if parameters else ()
        return doctor.examine(path, words, opened, as_caller=True)
    except (LkmError, OSError):
        return None  # the log alone must do; a second error would only hide the first
