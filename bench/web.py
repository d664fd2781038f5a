"""The page in a browser: first paint, click to loaded, the overview of a tree."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from bench.common import Row, bounded

_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
_RUNS = 5


def measure() -> list[Row]:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("no chromium; run: apt-get install --no-install-recommends chromium")
    with _server() as (address, process), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(address)
        base = address.split("#")[0]
        paint = statistics.median(_paint(page, base) for _ in range(_RUNS))
        _load(page, base)  # Uncounted: it builds the module and boots the kernel once.
        loads = [_load(page, base) for _ in range(_RUNS)]
        overview, note = _overview(page, base)
        memory = _memory(process.pid)
        browser.close()
    first, loaded, ended = (statistics.median(column) for column in zip(*loads, strict=True))
    return [
        bounded("first contentful paint", paint, most=0.5, unit="s"),
        bounded("click to first event", first, most=0.1, unit="s"),
        bounded("click to loaded", loaded, most=1.0, unit="s", note="hello, kernel from snapshot"),
        Row("click to the end of the story", ended, "s", "–", True),
        bounded("overview of all modules", overview, most=0.15, unit="s", note=note),
        bounded("server, with a browser on it", memory, most=40, unit="MB"),
    ]


@contextmanager
def _server() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "lkm", "web", "--no-open", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    match = re.search(r"http://\S+", process.stdout.readline())
    if match is None:
        raise SystemExit("lkm web printed no address")
    try:
        yield match.group(), process
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def _paint(page: Page, base: str) -> float:
    page.goto("about:blank")
    page.goto(f"{base}#/start")
    page.locator("main h1").wait_for()
    while not (paint := float(page.evaluate(_PAINT))):
        page.wait_for_timeout(20)
    return paint / 1000


def _load(page: Page, base: str) -> tuple[float, float, float]:
    """Return the seconds from the click to the first event, to ``loaded``, to the end."""
    page.goto("about:blank")
    page.goto(f"{base}#/start")
    page.get_by_role("button", name="Load it for real").click()
    expect(page.get_by_test_id("words")).to_have_text("That was all.", timeout=120_000)
    at = {
        name: float(page.evaluate(f"performance.getEntriesByName('{name}')[0].startTime"))
        for name in ("asked", "run-started", "loaded", "ended")
    }
    page.wait_for_timeout(1500)  # The next worker gets warm meanwhile.
    first, loaded, ended = (
        (at[name] - at["asked"]) / 1000 for name in ("run-started", "loaded", "ended")
    )
    return first, loaded, ended


def _overview(page: Page, base: str) -> tuple[float, str]:
    page.goto("about:blank")
    page.goto(f"{base}#/needs?module=btrfs")
    page.get_by_test_id("treemap").wait_for()
    page.wait_for_timeout(1000)
    times = page.evaluate("performance.getEntriesByType('measure').map((m) => m.duration)")
    text = page.locator(".tree p").inner_text()
    return sum(times) / 1000, text.split(", each")[0]


def _memory(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(match.group(1)) * 1024 / 1e6 if match else 0.0
