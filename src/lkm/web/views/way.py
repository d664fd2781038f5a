"""A module's way: the doctor's gate beside the kernel's function where the load stopped."""

from __future__ import annotations

from lkm.doctor import gates, load_way
from lkm.errors import UsageError
from lkm.kernels.choose import choose_bootable
from lkm.operations.demonstration import made_failures, way
from lkm.operations.demonstration.way import Question
from lkm.operations.trial.request import Procedure, Watching
from lkm.web.contract.answers import GateOnTheWay, KnownFailure, Way
from lkm.web.contract.requests import NoQuestion, Subject, WayRequest
from lkm.web.views.bringing import bring_file
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
    brought = bring_file(subject, request.kernel, telling)
    return Question(
        brought.path,
        f"emulated:{brought.kernel.release}",
        " ".join(request.parameters),
        request.sig_enforce,
        request.lockdown,
        brought.before,
    )
