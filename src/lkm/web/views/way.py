"""A module's way: the doctor's gate beside the kernel's function where the load stopped."""

from __future__ import annotations

import os

from lkm.build import kbuild
from lkm.doctor import gates, load_way
from lkm.errors import NotFoundError, UsageError
from lkm.kernels.choose import Wish, choose, choose_bootable, headers_of
from lkm.operations import made_failures, way
from lkm.operations.resolve import open_resolver
from lkm.operations.trial.request import Procedure, Watching
from lkm.operations.way import Question
from lkm.tree.plan import StepKind
from lkm.web.contract.answers import GateOnTheWay, KnownFailure, Way
from lkm.web.contract.requests import NoQuestion, Subject, WayRequest
from lkm.web.views.running import Telling, kernel_of, shown, try_words
from lkm.web.views.state import Surroundings

_WHAT = {
    "permission": "may the caller load modules, and may this kernel?",
    "file": "can the file be read?",
    "signature": "is it signed, by whom, and does the kernel insist?",
    "elf": "is it an ELF object for this processor, whole and sound?",
    "structure": "has it what makes an object a module?",
    "blacklist": "is it forbidden on the kernel's command line?",
    "module_layout": "is struct module the same there and here?",
    "vermagic": "was it built for a kernel like this one?",
    "memory": "is there room for it?",
    "loaded": "is one of that name there already?",
    "licence": "which taint does it bring?",
    "symbols": "can everything it needs be bound, with the right checksums?",
    "duplicates": "does anyone export the same names?",
    "btf": "do its types go with the kernel's?",
    "parameters": "are its parameters known, and their values sound?",
    "init": "what does its own init say?",
}


def answer(_question: NoQuestion, _surroundings: Surroundings) -> Way:
    """Return the gates in order, and the failures to choose from."""
    names = [name for name, _ in (*gates.BEFORE_ELF, *gates.AFTER_ELF)]
    return Way(
        tuple(GateOnTheWay(name, _WHAT.get(name, ""), _functions(name)) for name in names),
        tuple(
            KnownFailure(each.name, each.title, each.what, each.command)
            for each in made_failures.FAILURES
        ),
    )


def _functions(gate: str) -> tuple[str, ...]:
    return tuple(
        point.function
        for point in load_way.POINTS.values()
        if any(gate == name for name, _ in point.gates)
    )


def run(request: WayRequest, telling: Telling) -> None:
    """Make a failure, or load what was brought, and tell where the kernel stopped."""
    if bool(request.failure) == (request.subject is not None):
        raise UsageError("the way is that of a failure or of a subject: give one of the two")
    if request.subject is not None:
        question = _question(request, request.subject, telling)
        words = try_words(
            shown(request.subject),
            kernel_of(request.kernel),
            Procedure(
                request.parameters, sig_enforce=request.sig_enforce, lockdown=request.lockdown
            ),
            (),
            Watching(stages=True),
        )
    else:
        kernel = choose_bootable(request.kernel)
        question = made_failures.question_of(request.failure, kernel, telling.folder)
        command = next(f.command for f in made_failures.FAILURES if f.name == request.failure)
        words = command.split()[1:]
    telling.started(words)
    way.follow(question, telling.emit)


def _question(request: WayRequest, subject: Subject, telling: Telling) -> Question:
    """Return the load of a file, of an example that is built, or of a module of the tree."""
    kernel, path = request.kernel, telling.what
    before: tuple[str, ...] = ()
    if subject.example:
        known = choose(kernel_of(kernel), Wish(from_source=True)).known
        kernel = known.release if known else kernel
        path = os.fspath(kbuild.build(path, headers_of(kernel)).modules[0])
    elif subject.name:
        kernel = choose_bootable(kernel).release
        path, *needed = reversed(_files(subject.name, kernel))
        before = tuple(reversed(needed))
    return Question(
        path,
        kernel_of(kernel),
        " ".join(request.parameters),
        request.sig_enforce,
        request.lockdown,
        before,
    )


def _files(name: str, release: str) -> list[str]:
    """Return the files to load for a module of a kernel's tree, itself last."""
    plan = open_resolver(None, release).resolve(name, ignore_commands=True)
    files = [step.path for step in plan.steps if step.kind is StepKind.INSMOD]
    if not files:
        raise NotFoundError(f"{release} has no module {name} to load")
    return list(dict.fromkeys(files))
