"""The page in a real Chromium, against a real server; whatever it complains of fails the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

import lkm.web
from tests.web.serving import RunningServer

STATIC = Path(lkm.web.__file__).parent / "static"
QUIET = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60_000
"""Milliseconds to wait for anything on a machine that has other things to do."""
REPORT = """addEventListener('securitypolicyviolation',
    (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`))"""


@dataclass
class Visit:
    """A page, and what it complained of: messages, policy reports, requests to elsewhere."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)

    def open(self, address: str) -> None:
        """Go to a view as if its link had been opened anew."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.base}#/{address}")
        self.page.locator("main h1").wait_for()


@pytest.fixture(scope="session")
def built() -> Path:
    if not (STATIC / "index.html").is_file():
        pytest.fail("the page is not built; run: make page", pytrace=False)
    return STATIC


@pytest.fixture(scope="session")
def export(built: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of an exported page, opened from disk."""
    folder = tmp_path_factory.mktemp("export")
    command = [sys.executable, "-m", "lkm", "web", "--export", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "index.html").as_uri()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail(
            "no chromium; run: apt-get install --no-install-recommends chromium", pytrace=False
        )
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*QUIET, *root])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Return one context for all tests: its pages share the token, as tabs do."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.add_init_script(REPORT)
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    yield context
    context.close()


@pytest.fixture(scope="session")
def base(built: Path, context: BrowserContext, running: RunningServer) -> str:
    """Return the address of a server whose token this browser has taken."""
    address = f"http://127.0.0.1:{running.port}/"
    page = context.new_page()
    page.goto(f"{address}#token={running.token}")
    page.locator("main h1").wait_for()
    assert "token" not in page.url
    page.close()
    return address


@contextmanager
def new_tab(context: BrowserContext, base: str) -> Iterator[Visit]:
    """Open a tab; at the end nothing must have been complained of."""
    visit = Visit(context.new_page(), base)
    inside = base.rsplit("/", 1)[0] if base.startswith("file:") else base

    def asked(request: Request) -> None:
        if not request.url.startswith((inside, "data:", "blob:", "about:")):
            visit.complaints.append(f"asked elsewhere: {request.url}")

    visit.page.on("console", lambda m: visit.complaints.append(f"{m.type}: {m.text}"))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("request", asked)
    yield visit
    visit.page.close()
    assert visit.complaints == []


@pytest.fixture
def visit(context: BrowserContext, base: str) -> Iterator[Visit]:
    """Return a new tab for the running server."""
    with new_tab(context, base) as visit:
        yield visit


@pytest.fixture
def exported(context: BrowserContext, export: str) -> Iterator[Visit]:
    """Return a new tab for a folder on disk, with no server."""
    with new_tab(context, export) as visit:
        yield visit
