"""`lkm try` run in the test, and what it told."""

from __future__ import annotations

import os
from typing import TypeVar

from lkm.operations.trial import events
from lkm.operations.trial.request import Procedure, TrialRequest, Watching
from lkm.operations.trial.trial import run

_Event = TypeVar("_Event")


class Told(list[events.Event]):
    """The events of one run."""

    def one(self, kind: type[_Event]) -> _Event:
        (found,) = self.all(kind)
        return found

    def all(self, kind: type[_Event]) -> list[_Event]:
        return [event for event in self if isinstance(event, kind)]

    @property
    def log(self) -> list[str]:
        return [event.record.text for event in self.all(events.Logged)]


def attempt(what: object, *parameters: str, **request: object) -> Told:
    """Try ``what``; further words are options, named as in Request, Procedure and Watching."""
    told = Told()
    doing = {name: request.pop(name) for name in _PROCEDURE & request.keys()}
    watching = {name: request.pop(name) for name in _WATCHING & request.keys()}
    wish = TrialRequest(
        os.fspath(what),  # type: ignore[call-overload]
        Procedure(parameters, **doing),  # type: ignore[arg-type]
        watching=Watching(**watching),  # type: ignore[arg-type]
        **request,  # type: ignore[arg-type]
    )
    run(wish, told.append)
    return told


_PROCEDURE = {"actions", "sig_enforce", "lockdown", "keep", "timeout", "wait"}
_WATCHING = {"guard", "trace", "fail", "fast"}
