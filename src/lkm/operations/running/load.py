"""Carry out a plan: load a module and what it needs into a kernel, as modprobe does.

Source: kmod's ``libkmod/libkmod-module.c`` (``kmod_module_probe_insert_module``) and
``tools/modprobe.c`` (``insmod``).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass

from lkm.errors import KernelDiedError, KernelError
from lkm.kernel.kernel import Kernel, LoadFlags
from lkm.operations.running.install_commands import run_shell
from lkm.tree.plan import Plan, PlanTarget, Step, StepKind
from lkm.tree.resolver import Loaded

Show = Callable[[Step], None]
"""Told of each step just before it is carried out."""

_SATISFIED = (StepKind.BUILTIN, StepKind.ALREADY_LOADED)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load: ``first_time`` makes an already loaded module an error."""

    flags: LoadFlags = LoadFlags.NONE
    first_time: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """Why a target was not loaded: the errno kmod reports, the signal, what the kernel logged.

    ``module`` is the target, ``step`` the one of its steps that failed, ``detail`` what was found
    out besides.
    """

    module: str
    step: Step
    errno: int
    signal: int = 0
    log: tuple[str, ...] = ()
    detail: str = ""


def loaded_in(kernel: Kernel) -> Loaded:
    """Return the test a resolver needs: whether a module is live in ``kernel``."""

    def loaded(module: str) -> bool:
        return kernel.initial_state(module) == "live"

    return loaded


def carry_out(
    plan: Plan, kernel: Kernel, options: LoadOptions, show: Show | None = None
) -> tuple[LoadFailure | None, ...]:
    """Load every target of ``plan``; return what went wrong for each, ``None`` for nothing.

    kmod's exit status follows the last one. A kernel that dies raises KernelDiedError.
    """
    return tuple(_load_target(target, kernel, options, show) for target in plan.targets)


def _load_target(
    target: PlanTarget, kernel: Kernel, options: LoadOptions, show: Show | None
) -> LoadFailure | None:
    for step in target.steps:
        failure = _carry_out_step(target, step, kernel, options, show)
        if failure is None:
            continue
        if failure.errno == errno.EEXIST:
            # Only the module asked for may have to be new (KMOD_PROBE_FAIL_ON_LOADED).
            if step.module == target.module and options.first_time:
                return failure
        elif step.required:
            return failure
    return None


def _carry_out_step(
    target: PlanTarget, step: Step, kernel: Kernel, options: LoadOptions, show: Show | None
) -> LoadFailure | None:
    if step.kind in _SATISFIED:
        return LoadFailure(target.module, step, errno.EEXIST)
    if step.kind is StepKind.BLACKLISTED:
        return None
    if show:
        show(step)
    if options.dry_run:
        return None
    if step.kind is StepKind.INSTALL:
        return _install(target, step, kernel)
    if step.kind is StepKind.INSMOD:
        return _insmod(target, step, kernel, options.flags)
    detail = f"could not find module by name='{step.module}'"
    return LoadFailure(target.module, step, errno.ENOENT, detail=detail)


def _install(target: PlanTarget, step: Step, kernel: Kernel) -> LoadFailure | None:
    if loaded_in(kernel)(step.module):  # by a step before this one
        return LoadFailure(target.module, step, errno.EEXIST)
    command = step.command.replace("$CMDLINE_OPTS", step.options)
    status = run_shell(kernel, command, {"MODPROBE_MODULE": step.module})
    if status == 0:
        return None
    detail = f"Error running install command '{command}' for module {step.module}: retcode {status}"
    return LoadFailure(target.module, step, errno.EINVAL, detail=detail)


def _insmod(target: PlanTarget, step: Step, kernel: Kernel, flags: LoadFlags) -> LoadFailure | None:
    try:
        kernel.load(step.path, step.options, flags=flags)
    except KernelDiedError:
        raise
    except KernelError as error:
        return LoadFailure(target.module, step, error.errno, error.signal, error.log)
    except OSError as error:  # the file went away
        return LoadFailure(target.module, step, error.errno or errno.EIO)
    return None
