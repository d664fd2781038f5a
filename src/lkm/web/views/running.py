"""What the runs of all views share: telling events, bringing the module, asking for actions."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import select
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lkm.errors import LkmError, UsageError
from lkm.module.names import MODULE_SUFFIXES, is_module_file
from lkm.operations import examples
from lkm.operations.trial import encoding, events
from lkm.operations.trial import trial as trials
from lkm.operations.trial.request import Action, Procedure, TrialRequest, Watching
from lkm.web.contract import requests
from lkm.web.contract.events import Diagnostic, RunStarted

PATIENCE = 60.0
"""How long an interactive run waits for what to do next, in seconds."""

_PROGRESS_EVERY = 0.2
_DIAGNOSTIC = re.compile(
    r"^(?P<file>[^\s:]{1,400}):(?P<line>\d{1,7}):(?:(?P<column>\d{1,7}):)? "
    r"(?P<severity>fatal error|error|warning|note): (?P<text>.{1,2000})$",
    re.MULTILINE,
)


class Forbidden(LkmError):
    """The page asked for what it may not have; ``status`` is HTTP's."""

    status = 403


class Telling:
    """What a run tells, and what it knows of its surroundings; ``folder`` is its own."""

    def __init__(
        self,
        run: str,
        view: str,
        folder: Path,
        allow_live: bool,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self.folder = folder
        self._run = run
        self._view = view
        self._allow_live = allow_live
        self._tell = tell
        self._path = ""
        self._started = time.monotonic()
        self._progressed = 0.0

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return time.monotonic() - self._started

    def progress(self, what: str, done: int, total: int) -> None:
        """Tell how far a long step is, a few times a second."""
        now = time.monotonic()
        if done == total or now - self._progressed > _PROGRESS_EVERY:
            self._progressed = now
            self.emit(events.Progress(what, done, total))

    def wants_live(self, request: Any) -> bool:
        """Whether the request is to change this machine's own kernel; Forbidden if it may not."""
        live = bool(getattr(request, "live", False))
        if live and not self._allow_live:
            raise Forbidden(
                "nothing here changes the running kernel of this machine",
                hint="lkm web --allow-live lets the page do so",
            )
        return live

    def prepare(self, request: Any) -> None:
        """Bring the module the request is about, where it has one."""
        subject = getattr(request, "subject", None)
        source = getattr(request, "source", None)
        if isinstance(subject, requests.Subject):
            self._path = self.bring(subject)
        elif isinstance(source, requests.GivenSource):
            path = self.folder / f"{source.name}.c"
            path.write_text(source.text, encoding="utf-8")
            self._path = str(path)

    @property
    def what(self) -> str:
        """What ``lkm try`` is to try: a path or a name."""
        return self._path

    def bring(self, subject: requests.Subject) -> str:
        """Return the path or the name of a module."""
        given = [bool(subject.example), bool(subject.name), subject.file is not None]
        if sum(given) != 1:
            raise UsageError("a subject is one of: an example, a name, a file")
        if subject.example:
            return str(examples.example(subject.example).source.parent)
        if subject.name:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_:*,-]{0,59}", subject.name):
                raise UsageError(f"{subject.name!r} is not the name of a module")
            return subject.name
        assert subject.file is not None
        return self._write(subject.file)

    def _write(self, file: requests.GivenFile) -> str:
        if not is_module_file(file.name):
            raise UsageError(f"{file.name}: expected a module, {', '.join(MODULE_SUFFIXES)}")
        try:
            data = base64.b64decode(file.base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise UsageError(f"{file.name}: not base64") from error
        path = self.folder / file.name
        path.write_bytes(data)
        return str(path)

    def started(self, words: Sequence[str]) -> None:
        """Tell that the run begins, and the equal command line."""
        self.emit(RunStarted(self._run, self._view, shlex.join(["lkm", *words])))

    def emit(self, event: object) -> None:
        """Tell an event."""
        self._tell(encoding.document(event))

    def asked(self, first: Sequence[Action], *, interactive: bool) -> Iterator[Action]:
        """Yield what is to be done: first what is known, then what the user says meanwhile."""
        yield from first
        while interactive:
            self.emit(events.Waiting(PATIENCE))
            if not select.select([sys.stdin.buffer], [], [], PATIENCE)[0]:
                return
            line = sys.stdin.buffer.readline()
            if not line:
                return
            try:
                asked = requests.decode(requests.DoRequest, json.loads(line)).action
            except ValueError as error:
                self.emit(events.Acted("", "", "", f"not understood: {error}"))
                continue
            yield action(asked)


def action(asked: requests.DoAction) -> Action:
    """Return an action as a trial takes it."""
    return Action(asked.kind, asked.target, asked.value)


def kernel_of(release: str, *, live: bool = False) -> str:
    """Return what ``open_kernel`` takes."""
    if live:
        return "live"
    return f"emulated:{release}" if release else "emulated"


def try_words(
    what: str,
    kernel: str,
    procedure: Procedure,
    actions: Sequence[Action],
    watching: Watching,
    *more: str,
) -> list[str]:
    """Return the words of the ``lkm try`` that does the same."""
    words = ["try", what, *procedure.parameters]
    if kernel != "emulated":
        words += ["--kernel", kernel]
    for each in actions:
        if each.kind in ("set", "write"):
            words += [f"--{each.kind}", f"{each.target}={each.value}"]
        elif each.kind == "unload":
            words += ["--unload"]
        else:
            words += [f"--{each.kind}", each.target]
    flags = {
        "--sig-enforce": procedure.sig_enforce,
        "--lockdown": procedure.lockdown,
        "--guard": watching.guard,
        "--trace": watching.trace,
        "--stages": watching.stages,
        "--memory": watching.memory,
    }
    return [*words, *(flag for flag, given in flags.items() if given), *more]


def of_release(release: str) -> str:
    """Return the words that name a kernel to a command that would take the running one."""
    return "" if release == os.uname().release else f" --release {release}"


def shown(subject: requests.Subject) -> str:
    """Return how a command line would name the subject."""
    if subject.example:
        return f"examples/{subject.example}"
    return subject.name or (f"./{subject.file.name}" if subject.file else "")


def trial(request: TrialRequest, telling: Telling) -> events.Finished:
    """Carry out a trial and tell all of it."""
    return trials.run(request, telling.emit)


def diagnostics(output: str) -> tuple[Diagnostic, ...]:
    """Return the messages of a compiler in what a build printed."""
    found = []
    for match in _DIAGNOSTIC.finditer(output):
        file = match["file"].rpartition("/")[2]
        line, column = int(match["line"]), int(match["column"] or 0)
        found.append(Diagnostic(file, line, column, match["severity"], match["text"]))
    return tuple(dict.fromkeys(found))
