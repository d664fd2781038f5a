"""A worker process: warmed up, told what to do through standard input, confined, and gone.

``python -m lkm.web.worker FOLDER [--questions] [--allow-live] [--unconfined]``. It tells on what
was its standard output; what libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from lkm import landlock
from lkm.errors import LkmError
from lkm.operations import examples
from lkm.operations.trial import encoding
from lkm.web import confinement
from lkm.web.contract import requests
from lkm.web.contract.answers import PageProblem
from lkm.web.views import answers, run_views
from lkm.web.views.running import Forbidden, Telling

_STATUS = {"NotFoundError": 404, "ToolError": 503, "UnsupportedError": 503}


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How this worker was started."""

    folder: Path
    questions: bool
    allow_live: bool
    unconfined: bool

    @classmethod
    def parse(cls, words: list[str]) -> WorkerOptions:
        """Return the options in a command line's words."""
        return cls(
            Path(words[0]),
            questions="--questions" in words,
            allow_live="--allow-live" in words,
            unconfined="--unconfined" in words,
        )


def main() -> None:
    """Warm up, wait for the order, carry it out."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    confinement.die_with_parent()
    options = WorkerOptions.parse(sys.argv[1:])
    if options.questions:
        _confine(options)
        out.write(b"ready\n")
        _answer_all(options, out)
        return
    run_views.warm_up()
    out.write(b"ready\n")
    line = sys.stdin.buffer.readline()
    if line:
        _run(json.loads(line), options, out)


def _confine(options: WorkerOptions) -> int:
    return 0 if options.unconfined else confinement.confine(options.folder, examples.folder())


def _answer_all(options: WorkerOptions, out: Any) -> None:
    answering = answers.Answering(options.folder, options.allow_live, options.unconfined)
    while line := sys.stdin.buffer.readline():
        asked = json.loads(line)
        try:
            status, answer = 200, answering.answer(asked["question"], asked["request"])
        except (LkmError, msgspec.ValidationError, OSError) as error:
            status, answer = problem(error)
        out.write(b"%d %s\n" % (status, msgspec.json.encode(encoding.plain(answer))))


def _run(order: dict[str, Any], options: WorkerOptions, out: Any) -> None:
    """Carry out a run; what is wrong with the request itself is told as a problem first."""
    view = run_views.VIEWS[order["view"]]

    def tell(document: dict[str, Any]) -> None:
        out.write(msgspec.json.encode(document) + b"\n")

    confinement.limit(order["view"])
    telling = Telling(order["id"], order["view"], options.folder, options.allow_live, tell)
    try:
        request = requests.decode(view.request, order["request"])
        if view.playground and not options.unconfined and not landlock.abi():
            raise Forbidden(
                "what is typed into a page is not compiled here: this kernel has no Landlock",
                hint="lkm web --unconfined compiles it all the same",
            )
        if view.confined and not telling.wants_live(request):
            _confine(options)
        telling.prepare(request)
    except (LkmError, msgspec.ValidationError, OSError) as error:
        status, answer = problem(error)
        tell({"problem": encoding.plain(answer), "status": status})
        return
    run_views.carry_out(view, request, telling)


def problem(error: Exception) -> tuple[int, PageProblem]:
    """Return the status and the answer that tell of an error."""
    kind = type(error).__name__
    status = error.status if isinstance(error, Forbidden) else _STATUS.get(kind, 400)
    return status, PageProblem(str(error), str(getattr(error, "hint", "")), kind)


if __name__ == "__main__":
    main()
