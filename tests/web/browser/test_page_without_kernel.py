"""On a machine without a kernel every view shows a recording, and offers to fetch one."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.web.browser.conftest import new_tab
from tests.web.browser.views import SHOWS
from tests.web.serving import serving


def test_recordings_stand_in(
    built: Path, context: BrowserContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving(tmp_path) as server:
        kernels = [k for k in server.get("/api/state")["kernels"] if k["bootable"]]
        address = f"http://127.0.0.1:{server.port}/"
        with new_tab(context, address) as visit:
            visit.page.goto(f"{address}#token={server.token}")
            fetch = visit.page.get_by_role("button", name="Fetch a kernel")
            # A machine that runs from a kernel of its own in /boot has one to load into.
            expect(fetch).to_have_count(0 if kernels else 1)
            for address, shown in SHOWS.values():
                visit.open(address)
                expect(visit.page.get_by_test_id(shown)).not_to_be_empty()
                if not kernels:
                    expect(visit.page.get_by_test_id("badge")).to_contain_text("recorded")
