"""Recording answers and runs, so that the page has something to show without a kernel.

What is recorded names no file of the machine it was recorded on but those every machine has.
"""

from __future__ import annotations

import os
import platform
import re
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from lkm import files
from lkm.operations import examples
from lkm.operations.trial import encoding
from lkm.web import table
from lkm.web.contract import requests
from lkm.web.contract.answers import RecordedRequest, Recording, RecordingHead
from lkm.web.views import run_views
from lkm.web.views.answers import QUESTIONS, Answering
from lkm.web.views.running import Telling

_BUILD = re.compile(r"~/\.cache/lkm/build/[0-9a-f]+/")


@dataclass(frozen=True, slots=True)
class WantedRecording:
    """What to record: the view, what one picks there, a title, and what the page would ask."""

    view: str
    choice: str
    title: str
    body: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    question: str = ""

    @property
    def name(self) -> str:
        """The recording's name, which is its file's too."""
        words = re.sub(r"[^a-z0-9]+", "-", f"{self.view}-{self.choice}".lower())
        return words.strip("-")


def record(wanted: WantedRecording, kernel: str) -> Recording:
    """Record an answer or a run, with a kernel of that release."""
    with tempfile.TemporaryDirectory(prefix="lkm-web-") as name:
        folder = Path(name)
        scrub = _Scrub(folder)
        if wanted.question:
            return _answer(wanted, kernel, folder, scrub)
        return _run(wanted, kernel, folder, scrub)


def _answer(wanted: WantedRecording, kernel: str, folder: Path, scrub: _Scrub) -> Recording:
    asked = dict(wanted.body)
    if "kernel" in QUESTIONS[wanted.question][0].__struct_fields__:
        asked["kernel"] = kernel
    answering = Answering(folder, allow_live=False, unconfined=True)
    answer = encoding.plain(answering.answer(wanted.question, asked))
    path = next(p for p, (_, question) in table.ANSWERS.items() if question == wanted.question)
    method = table.ANSWERS[path][0]
    request = RecordedRequest(method, wanted.path or path, wanted.body)
    shown = wanted.path if method == "GET" else ""
    return Recording(_head(wanted, kernel, shown, 0.0), request, scrub.of(answer))


def _run(wanted: WantedRecording, kernel: str, folder: Path, scrub: _Scrub) -> Recording:
    view = run_views.VIEWS[wanted.view]
    events: list[dict[str, Any]] = []
    started = time.monotonic()

    def tell(document: dict[str, Any]) -> None:
        events.append({"at": round(time.monotonic() - started, 4), **document})

    telling = Telling("recorded", wanted.view, folder, allow_live=False, tell=tell)
    request = requests.decode(view.request, {**wanted.body, "kernel": kernel})
    telling.prepare(request)
    run_views.carry_out(view, request, telling)
    tell({"event": "ended", "code": 0, "why": ""})
    head = _head(wanted, kernel, "", events[-1]["at"])
    asked = RecordedRequest("POST", f"/api/run/{wanted.view}", wanted.body)
    return Recording(head, asked, None, tuple(scrub.of(events)))


def _head(wanted: WantedRecording, kernel: str, path: str, seconds: float) -> RecordingHead:
    today = datetime.now(UTC).date().isoformat()
    return RecordingHead(
        wanted.name, wanted.view, wanted.choice, path, wanted.title, kernel, today, seconds
    )


class _Scrub:
    """Takes this machine's own paths and names out of what was recorded."""

    def __init__(self, folder: Path) -> None:
        home = os.path.expanduser("~")
        kernels = str(files.cache_directory("kernels"))
        self._kernels = re.compile(re.escape(kernels) + r"/[^/\s\"]+(?=/)")
        self._replaced = (
            (str(examples.folder()), "examples"),
            (str(files.cache_directory()), "~/.cache/lkm"),
            (str(folder), "/tmp/lkm"),
            (home, "~"),
            (platform.node(), "localhost"),
        )

    def of(self, value: Any) -> Any:
        """Return a value of JSON without them."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if isinstance(value, dict):
            return {key: self.of(item) for key, item in value.items()}
        return value

    def _text(self, text: str) -> str:
        text = self._kernels.sub("", text)
        for real, shown in self._replaced[:-1]:
            text = text.replace(real, shown)
        name, shown = self._replaced[-1]
        if len(name) > 3:  # a shorter one is part of many words
            text = re.sub(rf"\b{re.escape(name)}\b", shown, text)
        return _BUILD.sub("", text)


def save(recording: Recording, folder: Path) -> Path:
    """Write a recording to its file."""
    path = folder / f"{recording.head.name}.json"
    files.write_atomic(path, msgspec.json.encode(encoding.plain(recording)) + b"\n")
    return path
