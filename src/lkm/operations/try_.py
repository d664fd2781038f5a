"""Try a module: load it in a kernel, tell everything that happened, unload it, say what it left.

Nothing is printed: each thing is an event (:mod:`lkm.operations.try_events`) given to ``emit`` as
it happens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lkm.build import kbuild
from lkm.errors import NotFoundError, UsageError
from lkm.kernel.kernel import Kernel
from lkm.kernel.open import open_kernel
from lkm.module.image import ModuleImage
from lkm.operations import try_events as events
from lkm.operations import try_kernel
from lkm.operations.try_kernel import Choice, Wish
from lkm.operations.try_modules import find_modules
from lkm.operations.try_run import Action, Run

Emit = Callable[[events.Event], None]

_MODULE_SUFFIXES = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")


@dataclass(frozen=True, slots=True)
class Request:
    """What to try and how.

    ``what`` is a module file, a .c file, a folder with a Kbuild or Makefile, or a module's name;
    ``kernel`` as for ``open_kernel``; ``actions`` are done in their order while it is loaded;
    ``select`` names the module where a folder builds several.
    """

    what: str
    parameters: tuple[str, ...] = ()
    kernel: str = "emulated"
    actions: tuple[Action, ...] = ()
    select: str = ""
    fetch: bool = False
    sig_enforce: bool = False
    lockdown: bool = False
    keep: bool = False


def run(request: Request, emit: Emit) -> events.Finished:
    """Try a module and return the last event.

    Raises NotFoundError when there is no such module or kernel, ToolError when it does not
    compile; what the kernel refuses is an event and a problem of the result, not an error.
    """
    started = time.monotonic()
    choice = _choose(request, emit)
    file = _module_file(request, choice, emit)
    known = choice.known
    image = os.fspath(known.vmlinuz) if known and known.vmlinuz else ""
    with _open(choice, emit) as kernel:
        wanted = find_modules(file or request.what, bool(file), known, kernel)
        running = Run(kernel, wanted, emit, image)
        if request.sig_enforce:
            running.enforce_signatures()
        if request.lockdown:
            running.lock_down()
        running.try_once(request.parameters, request.actions, keep=request.keep)
        problems = tuple(running.problems)
    finished = events.Finished(problems, time.monotonic() - started)
    emit(finished)
    return finished


def _choose(request: Request, emit: Emit) -> Choice:
    def progress(what: str, done: int, total: int) -> None:
        emit(events.Progress(what, done, total))

    choice = try_kernel.choose(request.kernel, _wish(request), progress)
    image = os.fspath(choice.known.vmlinuz or "") if choice.known else ""
    emit(events.KernelChosen(choice.where, choice.reason, image))
    return choice


def _module_file(request: Request, choice: Choice, emit: Emit) -> str:
    """Return the module's file, built first if need be; empty for a name."""
    if not _is_source(request.what):
        return request.what if _is_file(request.what) else ""
    release = choice.known.release if choice.known else os.uname().release
    emit(events.Progress(f"building {request.what}"))
    built = kbuild.build(request.what, try_kernel.headers_of(release))
    module = _select(built.modules, request.select)
    emit(events.Built(request.what, os.fspath(module), built.output, built.seconds))
    return os.fspath(module)


def _wish(request: Request) -> Wish:
    if _is_source(request.what):
        return Wish(from_source=True, fetch=request.fetch)
    if not _is_file(request.what):
        return Wish(fetch=request.fetch)
    if not os.path.exists(request.what):
        raise NotFoundError(f"{request.what}: no such file")
    vermagic = ModuleImage.open(request.what).vermagic
    return Wish(built_for=vermagic.release if vermagic else "", fetch=request.fetch)


def _is_source(what: str) -> bool:
    # A folder of the same name as a module in the tree is meant only when spelled as a path.
    looks_like_path = "/" in what or what.endswith(".c") or what in (".", "..")
    return (looks_like_path and kbuild.is_source(what)) or (
        os.path.isdir(what) and any(Path(what, name).is_file() for name in ("Kbuild", "Makefile"))
    )


def _is_file(what: str) -> bool:
    return "/" in what or what.endswith(_MODULE_SUFFIXES)


def _select(modules: tuple[Path, ...], name: str) -> Path:
    names = [path.stem for path in modules]
    if name:
        for path in modules:
            if path.stem.replace("-", "_") == name.replace("-", "_"):
                return path
        raise NotFoundError(f"no module {name!r} was built", hint=f"built: {', '.join(names)}")
    if len(modules) > 1:
        raise UsageError(
            f"it builds {len(modules)} modules: {', '.join(names)}",
            hint=f"choose one: --module {names[-1]}",
        )
    return modules[0]


def _open(choice: Choice, emit: Emit) -> Kernel:
    booted: list[str] = []

    def progress(what: str, done: int, total: int) -> None:
        booted.append(what)
        emit(events.Progress(what, done, total))

    started = time.monotonic()
    kernel = open_kernel(choice.where, progress=progress)
    how = "booted" if booted else "restored from its snapshot"
    if choice.kind == "live":
        how = "the running one"
    emit(events.KernelReady(kernel.release, how, time.monotonic() - started))
    return kernel
