"""For everyone: no violation that axe knows, in any mode; the keyboard alone; no motion."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.web.browser.conftest import Visit
from tests.web.browser.views import SHOWS


def violations(page: Page) -> list[str]:
    found = Axe().run(page, options={"preload": False}).response["violations"]
    return [f"{v['id']}: {node['html'][:200]}" for v in found for node in v["nodes"]]


@pytest.mark.parametrize("view", SHOWS)
def test_axe_finds_nothing(visit: Visit, view: str) -> None:
    page = visit.page
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    visit.open(SHOWS[view][0])
    expect(page.get_by_test_id(SHOWS[view][1])).not_to_be_empty()
    assert violations(page) == []
    # 200 %: half as many CSS pixels across; in dark, so that each mode is seen with each view.
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 640, "height": 430})
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_keyboard_alone(visit: Visit) -> None:
    page = visit.page
    visit.open("start")
    page.keyboard.press("1")
    expect(page.locator("main h1")).to_contain_text("life")
    page.keyboard.press("Home")
    moment = page.locator("output")
    expect(moment).not_to_contain_text("0/0")
    was = int(moment.inner_text().split("/")[0])
    page.keyboard.press("ArrowLeft")
    expect(moment).to_contain_text(f"{was - 1}/")
    # Tab comes to the slider, and the button before it replays.
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == "Replay":
            break
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.type") == "range"
    page.keyboard.press("Home")
    expect(moment).to_contain_text("0/")


def test_nothing_moves_when_motion_is_off(visit: Visit) -> None:
    visit.page.emulate_media(reduced_motion="reduce")
    visit.open("life")
    expect(visit.page.get_by_test_id("stages")).not_to_be_empty()
    visit.page.get_by_role("slider", name="Moment").fill("3")
    assert visit.page.evaluate("document.getAnimations().length") == 0
    visit.page.emulate_media(reduced_motion="no-preference")
    visit.page.get_by_text("Look", exact=True).click()
    visit.page.get_by_label("Motion").select_option("off")
    visit.page.get_by_role("slider", name="Moment").fill("20")
    assert visit.page.evaluate("document.getAnimations().length") == 0
    visit.page.get_by_label("Motion").select_option("as the system")


def test_print_shows_the_picture_without_controls(visit: Visit) -> None:
    visit.open("life")
    expect(visit.page.get_by_test_id("stages")).not_to_be_empty()
    visit.page.emulate_media(media="print")
    expect(visit.page.get_by_test_id("state")).to_be_visible()
    expect(visit.page.get_by_test_id("command")).to_be_visible()
    expect(visit.page.get_by_role("slider", name="Moment")).to_be_hidden()
