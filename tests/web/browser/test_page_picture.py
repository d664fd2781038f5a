"""The pictures of the documentation: screenshots of the page, made by these tests.

``LKM_PICTURES=docs/pictures`` says where to write them; without it they are made and thrown away.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.web.browser.conftest import REPORT, new_tab
from tests.web.serving import RunningServer

PICTURES = {
    "web": ("way?choice=unsigned", "light"),
    "web-life": ("life", "dark"),
    "web-needs": ("needs?module=btrfs", "light"),
    "web-play": ("play?choice=overflow", "dark"),
}


@pytest.mark.parametrize("name", PICTURES if "LKM_PICTURES" in os.environ else ["web"])
def test_a_picture(
    browser: Browser, built: Path, running: RunningServer, tmp_path: Path, name: str
) -> None:
    folder = Path(os.environ.get("LKM_PICTURES", tmp_path))
    view, scheme = PICTURES[name]
    address = f"http://127.0.0.1:{running.port}/"
    context = browser.new_context(
        viewport={"width": 1280, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    context.add_init_script(REPORT)
    with new_tab(context, address) as visit:
        visit.page.goto(f"{address}#token={running.token}")
        visit.open(view)
        expect(visit.page.get_by_test_id("badge")).not_to_be_empty()
        visit.page.wait_for_load_state("networkidle")
        visit.page.evaluate("document.fonts.ready.then(() => null)")
        picture = folder / f"{name}.png"
        visit.page.screenshot(path=picture)
    context.close()
    assert picture.read_bytes().startswith(b"\x89PNG")
