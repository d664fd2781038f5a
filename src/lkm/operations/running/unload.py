"""Unload modules, as rmmod and ``modprobe -r`` do.

Source: kmod's ``tools/rmmod.c`` and ``tools/modprobe.c`` (``rmmod_do_module``).
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from lkm.errors import KernelDiedError, KernelError
from lkm.kernel.kernel import Kernel
from lkm.module.names import normalize
from lkm.operations.running.install_commands import run_shell
from lkm.tree.lookup import Candidate
from lkm.tree.resolver import Resolver


class Obstacle(StrEnum):
    """Why a module was not unloaded."""

    NOT_FOUND = "not found"
    NOT_LOADED = "not loaded"
    BUILTIN = "builtin"
    HELD = "held"
    IN_USE = "in use"
    NO_UNLOADING = "no unloading"
    COMMAND_FAILED = "command failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Problem:
    """One module that stays: why, by whom it is held, what the kernel answered and logged."""

    obstacle: Obstacle
    module: str
    holders: tuple[str, ...] = ()
    errno: int = 0
    signal: int = 0
    log: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class UnloadOptions:
    """How ``modprobe -r`` unloads; ``wait`` in seconds.

    ``go_on`` keeps going after a module that stays, as ``-a`` does; otherwise the first one ends
    everything.
    """

    force: bool = False
    ignore_commands: bool = False
    first_time: bool = False
    dry_run: bool = False
    remove_holders: bool = False
    wait: float = 0.0
    go_on: bool = False


def unload(kernel: Kernel, name: str, *, force: bool = False) -> Problem | None:
    """Unload one module as rmmod does; return why it stays, ``None`` when it is gone."""
    module = normalize(name)
    if not force:
        problem = _in_the_way(kernel, module)
        if problem:
            return problem
    return _delete(kernel, module, force)


def _in_the_way(kernel: Kernel, module: str) -> Problem | None:
    state = kernel.initial_state(module)
    if not state:
        builtin = kernel.exists(f"/sys/module/{module}")
        return Problem(Obstacle.BUILTIN if builtin else Obstacle.NOT_LOADED, module)
    holders = kernel.holders(module)
    if holders:
        return Problem(Obstacle.HELD, module, holders)
    refcount = kernel.refcount(module)
    if refcount is None:
        return Problem(Obstacle.NO_UNLOADING, module)
    return Problem(Obstacle.IN_USE, module) if refcount > 0 else None


def _delete(kernel: Kernel, module: str, force: bool) -> Problem | None:
    try:
        kernel.unload(module, force=force)
    except KernelDiedError:
        raise
    except KernelError as error:
        return Problem(
            Obstacle.REFUSED, module, errno=error.errno, signal=error.signal, log=error.log
        )
    return None


class Remover:
    """``modprobe -r``: unloads modules, what holds them and what they alone needed.

    ``show`` is told of each action just before it: ``rmmod``, the module, no command; or
    ``remove``, the module and its command. What went wrong is in ``problems``.
    """

    def __init__(
        self,
        kernel: Kernel,
        resolver: Resolver,
        options: UnloadOptions,
        show: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self.problems: list[Problem] = []
        self._kernel = kernel
        self._resolver = resolver
        self._options = options
        self._show = show

    def remove(self, name: str) -> bool:
        """Unload what ``name`` stands for; return whether it went as modprobe wants it."""
        try:
            candidates = self._resolver.lookup(name)
            if not candidates:
                self._note(Problem(Obstacle.NOT_FOUND, name))
                return False
            asked = self._options.remove_holders
            return all(self._remove(c, holders_too=asked) for c in candidates)
        except _StoppedError:
            return False

    def _note(self, problem: Problem) -> None:
        self.problems.append(problem)
        if not self._options.go_on:
            raise _StoppedError

    def _remove(
        self, candidate: Candidate, *, holders_too: bool = False, builtin_is_fine: bool = False
    ) -> bool:
        module = candidate.module
        before: tuple[Candidate, ...] = ()
        after: tuple[Candidate, ...] = ()
        command = ""
        if not self._options.ignore_commands:
            before, after = self._resolver.soft_dependencies(module)
            rule = self._resolver.command_rule("remove", candidate)
            command = rule.value if rule else ""
        if not command:
            done = self._nothing_to_do(candidate, builtin_is_fine)
            if done is not None:
                return done
        self._remove_all(after)
        if holders_too and not self._remove_holders(module):
            return False
        if command:
            if not self._run(module, command):
                return False
        elif not self._remove_itself(module):
            return False
        else:
            self._remove_orphans(candidate)
        self._remove_all(before)
        return True

    def _nothing_to_do(self, candidate: Candidate, builtin_is_fine: bool) -> bool | None:
        module = candidate.module
        if self._resolver.is_builtin(candidate):
            if not builtin_is_fine:
                self._note(Problem(Obstacle.BUILTIN, module))
            return builtin_is_fine
        if self._kernel.initial_state(module):
            return None
        if self._options.first_time:
            self._note(Problem(Obstacle.NOT_LOADED, module))
        return not self._options.first_time

    def _remove_all(self, candidates: tuple[Candidate, ...]) -> None:
        for candidate in reversed(candidates):
            self._remove(candidate, builtin_is_fine=True)

    def _remove_holders(self, module: str) -> bool:
        for holder in reversed(self._kernel.holders(module)):
            for candidate in self._resolver.lookup(holder)[:1]:
                if not self._remove(candidate, builtin_is_fine=True):
                    return False
        return True

    def _remove_itself(self, module: str) -> bool:
        if not self._options.wait and (self._kernel.refcount(module) or 0) > 0:
            self._note(Problem(Obstacle.IN_USE, module))
            return False
        return self._delete(module)

    def _delete(self, module: str) -> bool:
        if self._show:
            self._show("rmmod", module, "")
        if self._options.dry_run:
            return True
        problem = self._delete_waiting(module)
        if problem and problem.errno == errno.EEXIST and not self._options.first_time:
            return True
        if problem:
            self.problems.append(problem)
        return problem is None

    def _delete_waiting(self, module: str) -> Problem | None:
        """Try again after 1, 2, 4 … ms while it is in use, for as long as was asked."""
        deadline = time.monotonic() + self._options.wait
        pause = 0.001
        while True:
            problem = _delete(self._kernel, module, self._options.force)
            left = deadline - time.monotonic()
            if problem is None or problem.errno != errno.EAGAIN or left <= 0:
                return problem
            time.sleep(min(pause, left))
            pause *= 2

    def _remove_orphans(self, candidate: Candidate) -> None:
        # In load order and once, as modprobe does: what a later one holds is left alone.
        for dependency in self._resolver.dependencies(candidate):
            if self._kernel.refcount(dependency.module) == 0:
                self._delete(dependency.module)

    def _run(self, module: str, command: str) -> bool:
        if self._show:
            self._show("remove", module, command)
        if self._options.dry_run:
            return True
        status = run_shell(self._kernel, command, {"MODPROBE_MODULE": module})
        if status:
            detail = f"Error running remove command '{command}' for module {module}: "
            detail += f"retcode {status}"
            self.problems.append(
                Problem(Obstacle.COMMAND_FAILED, module, errno=errno.EINVAL, detail=detail)
            )
        return status == 0


class _StoppedError(Exception):
    """modprobe ends at its first fatal message."""
