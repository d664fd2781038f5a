"""The life of a module: loaded, acted on, unloaded; also what the playground compiled."""

from __future__ import annotations

from lkm.operations.trial.request import Procedure, TrialRequest, Watching
from lkm.web.contract.requests import LifeRequest, OptionRequest, PlayRequest, Subject
from lkm.web.views.running import Telling, action, kernel_of, shown, trial, try_words


def life(request: LifeRequest, telling: Telling) -> None:
    """Load a module, do what is asked, unload it."""
    first = [action(each) for each in request.actions]
    watching = Watching(request.guard, request.trace, stages=not request.live)
    procedure = Procedure(
        request.parameters,
        telling.asked(first, interactive=request.interactive),
        sig_enforce=request.sig_enforce,
        lockdown=request.lockdown,
    )
    where = kernel_of(request.kernel, live=request.live)
    telling.started(try_words(shown(request.subject), where, procedure, first, watching))
    trial(TrialRequest(telling.what, procedure, where, watching=watching), telling)


def option(request: OptionRequest, telling: Telling) -> None:
    """Load a module of the kernel's own tree."""
    procedure, watching = Procedure(), Watching(stages=True)
    subject = Subject(name=request.module)
    where = kernel_of(request.kernel)
    telling.started(try_words(shown(subject), where, procedure, (), watching))
    trial(TrialRequest(telling.bring(subject), procedure, where, watching=watching), telling)


def play(request: PlayRequest, telling: Telling) -> None:
    """Compile what was typed and try it."""
    first = [action(each) for each in request.actions]
    each = request.fail_alloc == "each"
    fail = 0 if each or not request.fail_alloc else int(request.fail_alloc)
    watching = Watching(request.guard, request.trace, fail, stages=True)
    procedure = Procedure(request.parameters, telling.asked(first, interactive=request.interactive))
    where = kernel_of(request.kernel)
    more = ("--fail-alloc", request.fail_alloc) if request.fail_alloc else ()
    name = f"./{request.source.name}.c"
    telling.started(try_words(name, where, procedure, first, watching, *more))
    trial(TrialRequest(telling.what, procedure, where, watching=watching, fail_each=each), telling)
