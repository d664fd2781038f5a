"""Runs as the page asks for them: what they tell, how they end, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lkm.web import limits
from lkm.web.limits import Usage
from lkm.web.runs import Runs
from lkm.web.workers import Folders
from tests.support.kernels import KernelFiles
from tests.web.serving import RunningServer, is_alive, serving, wait_until

ENDLESS = """#include <linux/module.h>
static int __init endless_init(void) { for (;;) cpu_relax(); return 0; }
module_init(endless_init);
MODULE_LICENSE("GPL");
"""
HELLO = {"subject": {"example": "hello"}}


def _first(events: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(event for event in events if event["event"] == name)


def _without_times(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what differs from run to run, and what only one of the two tells."""
    kept = []
    for event in events:
        if event["event"] in ("run-started", "progress", "ended"):
            continue
        plain = {k: v for k, v in event.items() if k not in ("at", "seconds", "schema", "how")}
        if "record" in plain:
            plain["record"] = {**plain["record"], "microseconds": 0}
        kept.append(plain)
    return kept


def test_a_run_tells_what_the_command_tells(running: RunningServer, kernel: KernelFiles) -> None:
    actions = [{"kind": "set", "target": "num", "value": "7"}, {"kind": "read", "target": "num"}]
    asked = {**HELLO, "kernel": kernel.release, "parameters": ["num=42"], "actions": actions}
    events = running.run("life", **asked)
    assert [events[0]["event"], events[-1]["event"]] == ["run-started", "ended"]
    assert (events[-1]["code"], events[-1]["why"]) == (0, "")
    assert [e["at"] for e in events] == sorted(e["at"] for e in events)
    words = events[0]["command"].split()
    assert words[:3] == ["lkm", "try", "examples/hello"]
    command = [sys.executable, "-m", "lkm", *words[1:], "--json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=_project())
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [e["event"] for e in _without_times(lines)] == [
        e["event"] for e in _without_times(events)
    ]
    for name in ("state", "tainted", "bound", "appeared", "finished"):
        assert _without_times([_first(lines, name)]) == _without_times([_first(events, name)])


def _project() -> Path:
    return Path(__file__).parents[2]


def test_an_open_device_keeps_a_module(running: RunningServer) -> None:
    device = "/dev/hello"
    held = [
        {"kind": "open", "target": device},
        {"kind": "unload"},
        {"kind": "close", "target": device},
        {"kind": "unload"},
    ]
    events = running.run("life", **HELLO, actions=held)
    counts = [event["refcount"] for event in events if event["event"] == "state"]
    assert counts == [0, 1, 0]
    refused = _first(events, "refused")
    assert (refused["operation"], refused["error"].split()[0]) == ("unloading hello", "EAGAIN")
    assert device in refused["causes"][0]
    assert _first(events, "finished")["problems"] == []
    assert _first(events, "unloaded")["module"] == "hello"


def test_more_can_be_done_while_it_is_loaded(running: RunningServer) -> None:
    with running.listening("life", **HELLO, interactive=True) as listener:
        listener.until(b'"event":"waiting"')
        run = listener.events()[0]["id"]
        setting = {"kind": "set", "target": "num", "value": "11"}
        assert running.post(f"/api/run/{run}/do", action=setting).status == 202
        listener.until(b'"event":"acted"')
        assert running.post(f"/api/run/{run}/do", action={"kind": "unload"}).status == 202
        listener.until(b'"event":"ended"')
    assert running.post(f"/api/run/{run}/do", action=setting).status == 404


def test_what_is_wrong_with_a_request_is_said(running: RunningServer) -> None:
    for content, status in (
        ({"subject": {"example": "none"}}, 404),
        ({"subject": {"example": "hello", "name": "dummy"}}, 400),
        ({"subject": {"name": "../../etc/passwd"}}, 400),
        ({"subject": {"file": {"name": "Makefile", "base64": ""}}}, 400),
        ({**HELLO, "flags": ["-I/"]}, 400),
        ({**HELLO, "live": True}, 403),
    ):
        answer = running.post("/api/run/life", **content)
        assert (answer.status, bool(answer.json["error"])) == (status, True), content


def test_two_run_at_once(running: RunningServer) -> None:
    with running.listening("life", **HELLO, interactive=True) as first:
        first.until(b'"event":"run-started"')
        with running.listening("life", **HELLO, interactive=True) as second:
            second.until(b'"event":"run-started"')
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                asked = [pool.submit(running.post, "/api/run/life", **HELLO) for _ in range(2)]
            assert [each.result().status for each in asked] == [429, 429]
            assert asked[0].result().headers["retry-after"] == "2"
    assert wait_until(lambda: running.post("/api/run/life", **HELLO).status == 200)


def test_a_listener_that_goes_ends_its_run(running: RunningServer) -> None:
    source = {"name": "endless", "text": ENDLESS}
    with running.listening("play", source=source) as listener:
        listener.until(b'"do_one_initcall"')
        workers = running.children()
    assert wait_until(lambda: not any(map(is_alive, workers - running.children())))
    assert wait_until(lambda: len(running.folders()) <= 2)  # a spare, and who answers questions


def test_a_worker_that_is_killed_ends_its_stream(running: RunningServer) -> None:
    with running.listening("life", **HELLO, interactive=True) as listener:
        listener.until(b'"event":"waiting"')
        for pid in running.children():
            if b"--questions" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        listener.until(b'"event":"ended"')
        last = listener.events()[-1]
    assert last["code"] == -signal.SIGKILL
    assert "signal 9" in last["why"]
    assert running.run("life", **HELLO)[-1]["code"] == 0


def test_runs_leave_nothing(running: RunningServer) -> None:
    running.get("/api/state")
    for _ in range(2):
        assert running.run("life", **HELLO)[-1]["code"] == 0
    assert wait_until(lambda: len(running.folders()) <= 2)
    assert wait_until(lambda: len(running.children()) <= 2)
    status = Path(f"/proc/{running.process.pid}/status").read_text(encoding="ascii")
    (size,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    assert int(size) < 40_000  # kB


@pytest.mark.full
def test_fifty_runs_leave_nothing(running: RunningServer) -> None:
    for _ in range(50):
        assert running.run("life", **HELLO)[-1]["code"] == 0
    assert wait_until(lambda: len(running.folders()) <= 2)
    assert wait_until(lambda: len(running.children()) <= 2)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_ends_takes_everything_along(
    tmp_path: Path, kernel: KernelFiles, how: signal.Signals
) -> None:
    with serving(tmp_path) as server, server.listening("life", **HELLO, interactive=True) as run:
        run.until(b'"event":"waiting"')
        server.get("/api/state")
        workers = server.children()
        assert len(workers) >= 2
        server.process.send_signal(how)
        server.process.wait(20)
        assert wait_until(lambda: not any(map(is_alive, workers)))
        assert wait_until(lambda: not list(tmp_path.iterdir()))


def test_limits_are_named() -> None:
    allowed = limits.of("life")
    assert limits.exceeded(Usage(0.0, 0), allowed) == ""
    assert "processor time" in limits.exceeded(Usage(1e6, 0), allowed)
    assert "memory" in limits.exceeded(Usage(0.0, allowed.memory + 1), allowed)


def test_usage_counts_a_whole_session() -> None:
    program = "import subprocess, sys, time; b = bytearray(50 << 20); subprocess.Popen(" \
        "[sys.executable, '-c', 'import time; b = bytearray(50 << 20); time.sleep(60)']);" \
        "print(flush=True); time.sleep(60)"  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = wait_until(lambda: limits.usage(process.pid).memory > 100 << 20)
        session = limits.processes(process.pid)
        for pid in session:
            os.kill(pid, signal.SIGKILL)
    assert (found, len(session)) == (True, 2)


@pytest.mark.parametrize(
    ("allowed", "why"),
    [
        ({"seconds": 0.5}, "limit: it took more than 0.5 seconds"),
        ({"memory": 1 << 20}, "limit: it took more than 1 MB of memory"),
        ({"output": 500}, "limit: it told more than 0 MB"),
    ],
)
def test_a_run_that_passes_a_limit_is_stopped(
    kernel: KernelFiles, monkeypatch: pytest.MonkeyPatch, allowed: dict[str, Any], why: str
) -> None:
    limited = replace(limits.USUAL, **allowed)
    monkeypatch.setattr(limits, "of", lambda _view: limited)

    async def run() -> list[dict[str, Any]]:
        folders = Folders()
        runs = Runs(folders)
        try:
            request = {**HELLO, "kernel": kernel.release, "interactive": True}
            return [json.loads(line) async for line in runs.events("life", request)]
        finally:
            await runs.close()
            folders.close()

    # In a thread of its own: the browser's tests leave an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        events = thread.submit(lambda: asyncio.run(run())).result()
    assert events[-1]["event"] == "ended"
    assert events[-1]["why"] == why


def test_a_key_is_made_used_and_gone(running: RunningServer) -> None:
    events = running.run("signing", subject={"name": "dummy"})
    assert _first(events, "key-made")["algorithm"].startswith("rsa")
    assert "PRIVATE" not in json.dumps(events)
    answered = [event for event in events if event["event"] == "answered"]
    assert len(answered) == 5 * 4
    for event in answered:
        foretold = (event["predicted"]["errno"], event["predicted"]["taints"])
        assert (event["errno"], "E" in event["taints"]) == foretold, event
    flipped = {e["errno_name"] for e in answered if e["what"] == "distribution-flipped"}
    assert flipped == {"EKEYREJECTED"}
    assert wait_until(lambda: len(running.folders()) <= 2)


@pytest.mark.parametrize(
    "letter", [*"FRD", *(pytest.param(each, marks=pytest.mark.full) for each in "PCOEKNWSMBUAILXT")]
)
def test_a_taint_is_caused(running: RunningServer, kernel: KernelFiles, letter: str) -> None:
    events = running.run("taint", letter=letter, kernel=kernel.release)
    assert letter in _first(events, "taint-now")["letters"]
    assert _first(events, "finished")["problems"] == []


def test_answers_are_those_of_the_commands(running: RunningServer, kernel: KernelFiles) -> None:
    needs = running.get(f"/api/needs?module=btrfs&kernel={kernel.release}")
    told = _command_json(needs["command"])
    assert [module["name"] for module in needs["modules"]] == told["modules"]
    assert needs["edges"] == told["edges"]
    assert needs["order"][-1] == "btrfs"
    plan = running.get(f"/api/memory?module=dummy&kernel={kernel.release}")
    memory = _command_json(plan["command"])["module"]["memory"]
    assert (plan["core"], plan["init"]) == (memory["core"], memory["init"])
    decoded = running.post("/api/taint/decode", text="Tainted: G           OE").json
    assert _command_json(decoded["command"])["report"]["letters"] == decoded["letters"] == "OE"


def _command_json(command: str) -> Any:
    words = [sys.executable, "-m", *command.split(), "--json"]
    return json.loads(subprocess.run(words, capture_output=True, check=True).stdout)


def test_what_is_typed_is_not_compiled_without_landlock(tmp_path: Path) -> None:
    program = (
        "import sys; from lkm import landlock; landlock.abi = lambda: 0;"
        f"sys.argv[1:] = [{str(tmp_path)!r}]; from lkm.web import worker; worker.main()"
    )
    request = {"source": {"name": "mine", "text": ""}}
    order = json.dumps({"id": "1", "view": "play", "request": request}) + "\n"
    asked = subprocess.run(
        [sys.executable, "-c", program],
        input=order + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    refused = json.loads(asked.stdout.splitlines()[-1])
    assert refused["status"] == 403
    assert "--unconfined" in refused["problem"]["hint"]
