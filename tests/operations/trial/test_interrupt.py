"""Ctrl-C and the time limit end a trial whatever the module does, and nothing is left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tests.support.kernels import kernel_files
from tests.support.modules import built

CASES = [
    *(("emulated", "spin"), ("emulated", "spin_off"), ("emulated", "sleep_hours")),
    *(("vm", "spin_off"), ("vm", "sleep_hours")),
]


def start(kernel: str, how: str, mark: str, *options: str) -> subprocess.Popen[str]:
    where = f"{kernel}:{kernel_files().release}"
    command = [sys.executable, "-m", "lkm", "try", str(built("hostile")), f"how={how}"]
    return subprocess.Popen(
        [*command, "--kernel", where, "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LKM_TEST_MARK": mark},
        # A test's worker may ignore SIGINT, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def marked(mark: str) -> list[str]:
    """The processes that came of one with this mark in its environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"LKM_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(("kernel", "how"), CASES)
def test_ctrl_c(kernel: str, how: str) -> None:
    mark = uuid.uuid4().hex
    process = start(kernel, how, mark, "--timeout", "3600")
    assert process.stdout
    for line in process.stdout:
        if json.loads(line)["event"] == "kernel-ready":
            break
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, (line, errors)
    assert "Traceback" not in errors
    assert marked(mark) == []


@pytest.mark.parametrize("kernel", ["emulated", "vm"])
def test_the_time_limit(kernel: str) -> None:
    mark = uuid.uuid4().hex
    process = start(kernel, "spin_off", mark, "--timeout", "2")
    output, errors = process.communicate(timeout=120)
    assert errors == ""
    last = json.loads(output.splitlines()[-1])
    assert last["event"] == "finished"
    assert "time limit" in last["problems"][-1]
    assert process.returncode == 1
    assert marked(mark) == []


@pytest.mark.parametrize("kernel", ["emulated", "vm"])
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_trial_leaves_no_process(kernel: str, kind: signal.Signals) -> None:
    mark = uuid.uuid4().hex
    process = start(kernel, "spin_off", mark)
    assert process.stdout
    process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(kind)
    process.communicate(timeout=120)
    deadline = time.monotonic() + 20
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marked(mark) == []
