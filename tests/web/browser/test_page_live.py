"""What one does on the page happens in a real kernel, and the page shows what it said."""

from __future__ import annotations

import json

from playwright.sync_api import Page, expect

from tests.support.tools import lkm
from tests.web.browser.conftest import Visit

WORDS = 90_000
"""Milliseconds that a run may take on a busy machine."""


def finished(page: Page) -> None:
    expect(page.get_by_test_id("words")).to_have_text("That was all.", timeout=WORDS)
    expect(page.get_by_test_id("badge")).to_contain_text("live")


def test_the_token_leaves_the_address(visit: Visit) -> None:
    assert "token" not in visit.page.url


def test_opening_a_link_runs_nothing(visit: Visit) -> None:
    runs: list[str] = []
    visit.page.on("request", lambda r: runs.append(r.url) if "/api/run/" in r.url else None)
    for address in ("life?module=dummy", "taint?choice=O", "play?choice=hello&guard=on"):
        visit.open(address)
        visit.page.wait_for_load_state("networkidle")
    assert runs == []


def test_figures_equal_the_command(visit: Visit) -> None:
    visit.open("life")
    visit.page.get_by_label("Parameters").fill("num=42 who=page")
    visit.page.get_by_role("button", name="Show the whole life").click()
    finished(visit.page)
    command = visit.page.get_by_test_id("command").inner_text()
    status, output, errors = lkm("try", "examples/hello", "num=42", "who=page", "--json")
    assert (status, errors) == (0, b"")
    told = [json.loads(line) for line in output.splitlines()]
    state = next(event for event in told if event["event"] == "state")
    tainted = next(event for event in told if event["event"] == "tainted")
    assert command.startswith("lkm try")
    expect(visit.page.get_by_test_id("taint")).to_have_text(tainted["letters"])
    visit.page.get_by_text("The same as text").click()
    twin = visit.page.get_by_test_id("twin").inner_text()
    for event in told:
        if event["event"] == "logged":
            assert event["record"]["text"] in twin
        if event["event"] == "parameter-shown":
            assert f"Parameter {event['name']} is {event['value']}." in twin
    facts = visit.page.locator(".corrections").inner_text()
    assert f"{state['size']:,}" in facts
    assert f"{state['freed']:,}" in facts


def test_what_is_held_is_not_unloaded(visit: Visit) -> None:
    page = visit.page
    visit.open("life")
    page.get_by_role("button", name="Load it for real").click()
    page.get_by_role("button", name="Open /dev/hello").click(timeout=WORDS)
    expect(page.get_by_test_id("refcount")).to_have_text("1")
    page.get_by_role("button", name="Unload").click()
    expect(page.get_by_test_id("acts")).to_contain_text("EAGAIN")
    expect(page.get_by_test_id("state")).to_have_attribute("data-state", "live")
    page.get_by_label("New value of num").fill("7")
    page.get_by_role("row", name="num").get_by_role("button", name="set").click()
    expect(page.get_by_test_id("acts")).to_contain_text("set num")
    page.get_by_role("button", name="Close it").click()
    expect(page.get_by_test_id("refcount")).to_have_text("0")
    page.get_by_role("button", name="Unload").click()
    expect(page.get_by_test_id("state")).to_have_attribute("data-state", "gone")
    finished(page)


def test_an_error_stands_on_its_line(visit: Visit) -> None:
    page = visit.page
    visit.open("play?choice=hello")
    area = page.get_by_label("Source of the module hello")
    source = area.input_value()
    area.fill(source + "\nint broken = ;\n")
    page.get_by_role("button", name="Compile and load").click()
    line = source.count("\n") + 2
    expect(page.get_by_test_id("marks")).to_contain_text(f"line {line}", timeout=WORDS)
    expect(page.get_by_test_id("marks")).to_contain_text("expected expression")


def test_an_overflow_stands_on_its_line(visit: Visit) -> None:
    page = visit.page
    visit.open("play?choice=overflow")
    source = page.get_by_label("Source of the module overflow").input_value()
    page.get_by_label("watch every access").check()
    page.get_by_role("button", name="Compile and load").click()
    finished(page)
    line = source[: source.index("strcpy(")].count("\n") + 1
    expect(page.get_by_test_id("marks")).to_contain_text(f"line {line}")
    expect(page.get_by_test_id("verdict")).to_contain_text("overflow")
