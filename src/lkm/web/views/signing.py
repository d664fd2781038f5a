"""Signing: a key, a signed module, four policies; and the rehearsal of Secure Boot."""

from __future__ import annotations

import os
from pathlib import Path

from lkm.module.compression import decompress
from lkm.operations.demonstration.changed_modules import ModuleSupply
from lkm.operations.demonstration.signing_trial import SigningQuestion, show_signing
from lkm.operations.trial.events import Finished, KernelChosen
from lkm.operations.trust import secureboot
from lkm.web.contract.events import Rehearsed
from lkm.web.contract.requests import SecureBootRequest, SigningRequest, Subject
from lkm.web.views.bringing import bring_file
from lkm.web.views.running import Telling

_DISTRIBUTION = "dummy"
"""Whose signature stands for the distribution's, where the module at hand has none of it."""
_LINKS = {
    "boots": "kernel",
    "enrol": "mok",
    "MokManager": "mok",
    "MokList": "mok",
    "mokutil": "mok",
    "key of": "mok",
}


def signing(request: SigningRequest, telling: Telling) -> None:
    """Sign a module with a key that was just made, and ask a kernel under each policy."""
    telling.started(["sign", _file(request.subject), "--key", "MOK.priv", "--cert", "MOK.der"])
    brought = bring_file(request.subject, request.kernel, telling)
    data = decompress(Path(brought.path).read_bytes())
    name = os.path.basename(brought.path)
    theirs = ModuleSupply(brought.kernel).signed(_DISTRIBUTION)
    question = SigningQuestion(name, data, theirs, brought.before, request.flip)
    show_signing(question, brought.kernel, telling.emit)


def secure_boot(request: SecureBootRequest, telling: Telling) -> None:
    """Go through Secure Boot's whole chain in a virtual machine, step by step."""
    more = ["--mokmanager"] if request.mokmanager else []
    telling.started(["secureboot", "rehearse", _file(request.subject), *more])
    brought = bring_file(request.subject, request.kernel, telling)
    trial, kernel = secureboot.prepare(brought.path, release=brought.kernel.release)
    telling.emit(KernelChosen(f"vm:{kernel.release}", "behind Secure Boot", str(kernel.vmlinuz)))
    problems = []
    steps = secureboot.rehearse(
        trial, kernel, mokmanager=request.mokmanager, progress=telling.progress
    )
    for step in steps:
        telling.emit(Rehearsed(step.what, step.ok, step.said, step.errno, _link(step)))
        problems += [] if step.ok else [step.what]
    telling.emit(Finished(tuple(problems), telling.seconds))


def _file(subject: Subject) -> str:
    return subject.file.name if subject.file else f"{subject.example or subject.name}.ko"


def _link(step: secureboot.RehearsalStep) -> str:
    """Return which link of the chain a step is about."""
    if step.errno is not None:
        return "module"
    for word, link in _LINKS.items():
        if word in step.what:
            return link
    return "module"
