"""What page and server agree on: types, routes, recordings."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from lkm.operations.trial import events as trial_events
from lkm.operations.trial.encoding import event_name
from lkm.web import table
from lkm.web.contract import answers, events, tree_answers
from lkm.web.export import export
from lkm.web.views import run_views
from lkm.web.views.answers import QUESTIONS
from lkm.web.views.recorded import recordings

ROOT = Path(__file__).parents[2]
_ANSWERS: dict[str, Any] = {
    "/api/state": answers.PageState,
    "/api/examples": answers.Examples,
    "/api/way": answers.Way,
    "/api/memory": tree_answers.MemoryPlan,
    "/api/options": tree_answers.Options,
    "/api/boot": tree_answers.BootLine,
    "/api/needs": tree_answers.NeedsGraph,
    "/api/needs/edge": tree_answers.EdgeSymbols,
    "/api/needs/tree": tree_answers.TreeMap,
    "/api/rules": tree_answers.NameRules,
    "/api/rules/examples": tree_answers.RulesExamples,
    "/api/taint": answers.Taint,
}
_EVENTS = {
    event_name(kind.__name__): kind
    for kind in (*get_args(trial_events.Event), *get_args(events.PageEvent))
}
_ADDRESSES = re.compile(r"0x[0-9a-f]+")


def test_the_pages_types_are_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "tools/web-types", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_route_has_its_view() -> None:
    assert set(run_views.VIEWS) == set(table.RUNS)
    assert set(QUESTIONS) == {question for _, question in table.ANSWERS.values()}


def test_every_view_has_recordings() -> None:
    views = {recording.head.view for recording in recordings()}
    assert views >= {
        "life",
        "way",
        "memory",
        "option",
        "needs",
        "rules",
        "signing",
        "taint",
        "play",
    }
    heads = [(recording.head.view, recording.head.choice) for recording in recordings()]
    assert len(heads) == len(set(heads))
    names = [recording.head.name for recording in recordings()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("recording", recordings(), ids=lambda r: r.head.name)
def test_a_recording_has_the_form_of_what_it_records(recording: answers.Recording) -> None:
    path = recording.request.path.partition("?")[0]
    if recording.answer is not None:
        kind = tree_answers.OptionFacts if path.startswith("/api/options/") else _ANSWERS[path]
        msgspec.convert(recording.answer, kind)
        return
    told = [event["event"] for event in recording.events]
    assert (told[0], told[-1]) == ("run-started", "ended")
    for event in recording.events:
        kind = _EVENTS[event["event"]]
        # A field may have been added since; what is told must still be known.
        assert set(event) - {"at", "event"} <= set(kind.__dataclass_fields__), event["event"]


def test_recordings_and_exports_name_nothing_of_this_machine(tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("<!doctype html>")
    exported = export(tmp_path / "export", page).parent
    text = (exported / "recorded.js").read_text(encoding="utf-8")
    assert text.startswith("globalThis.lkmRecorded = ")
    private = [os.path.expanduser("~") + "/", str(ROOT), "/home/", "token", "lkm-web-"]
    private += [platform.node()] if len(platform.node()) > 3 else []
    assert [word for word in private if word in text] == []


def test_an_export_does_not_take_the_place_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    asked = [sys.executable, "-m", "lkm", "web", "--export", str(tmp_path)]
    refused = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_no_lock_file_names_a_registry() -> None:
    text = (ROOT / "src/lkm/web/ui/package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in text
    assert "http://" not in text.replace("http://www.apache.org", "")
    assert "registry" not in text
