"""The page in a real Chromium, against a real server; whatever it complains of fails the test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

import lkm.web

STATIC = Path(lkm.web.__file__).parent / "static"
QUIET = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REPORT = """addEventListener('securitypolicyviolation',
    (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`))"""


@dataclass
class Server:
    """A running ``lkm web``."""

    address: str
    process: subprocess.Popen[str]

    @property
    def base(self) -> str:
        return self.address.split("#")[0]


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
def server(built: Path) -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-m", "lkm", "web", "--no-open", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    match = re.search(r"http://\S+", process.stdout.readline())
    assert match, "lkm web printed no address"
    yield Server(match.group(), process)
    process.terminate()
    process.wait(10)
    process.stdout.close()


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


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.add_init_script(REPORT)
    yield context
    context.close()


def _visit(context: BrowserContext, base: str) -> Visit:
    visit = Visit(context.new_page(), base)

    def asked(request: Request) -> None:
        inside = base.rsplit("/", 1)[0] if base.startswith("file:") else base
        if not request.url.startswith((inside, "data:", "blob:")):
            visit.complaints.append(f"asked elsewhere: {request.url}")

    visit.page.on("console", lambda m: visit.complaints.append(f"{m.type}: {m.text}"))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("request", asked)
    visit.page.set_default_timeout(30_000)
    return visit


@pytest.fixture
def visit(context: BrowserContext, server: Server) -> Iterator[Visit]:
    """Return a page of the running server, which has taken the token."""
    visit = _visit(context, server.base)
    visit.page.goto(server.address)
    visit.page.locator("main h1").wait_for()
    yield visit
    assert visit.complaints == []


@pytest.fixture
def exported(context: BrowserContext, export: str) -> Iterator[Visit]:
    """Return a page from a folder on disk, with no server."""
    visit = _visit(context, export)
    yield visit
    assert visit.complaints == []
