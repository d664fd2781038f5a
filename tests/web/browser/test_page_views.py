"""Every view: recorded, by link, from a folder on disk; the same picture each time."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser.conftest import Visit
from tests.web.browser.views import SHOWS


def picture(page: Page) -> str:
    """Return all that the view says, without what says where it comes from."""
    return "\n".join([page.get_by_test_id("words").inner_text(), page.locator("main").inner_text()])


def half(visit: Visit) -> int:
    """Move the slider to the middle; return the moment."""
    slider = visit.page.get_by_role("slider", name="Moment")
    expect(slider).to_be_enabled()
    middle = int(slider.get_attribute("max") or 0) // 2
    slider.fill(str(middle))
    expect(visit.page.locator("output")).to_contain_text(f"{middle}/")
    return middle


@pytest.mark.parametrize("view", SHOWS)
def test_a_link_shows_the_same_picture(visit: Visit, view: str) -> None:
    address, shown = SHOWS[view]
    visit.open(address)
    expect(visit.page.get_by_test_id(shown)).not_to_be_empty()
    visit.page.wait_for_load_state("networkidle")
    middle = half(visit)
    before = picture(visit.page)
    link = visit.page.url.split("#/")[1]
    assert f"at={middle}" in link
    visit.open(link)
    expect(visit.page.locator("output")).to_contain_text(f"{middle}/")
    visit.page.wait_for_load_state("networkidle")
    assert picture(visit.page) == before


@pytest.mark.parametrize("view", SHOWS)
def test_an_export_needs_no_server(exported: Visit, view: str) -> None:
    address, shown = SHOWS[view]
    exported.open(address)
    expect(exported.page.get_by_test_id(shown)).not_to_be_empty()
    half(exported)
    twin = exported.page.get_by_test_id("twin")
    assert twin.locator("li").count() > 1
