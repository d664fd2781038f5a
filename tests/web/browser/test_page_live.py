"""What one does on the page happens in a real kernel, and the page shows what it said."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Page, expect

from tests.support.kernels import KernelFiles
from tests.support.tools import lkm
from tests.web.browser.conftest import Visit

RUN = 180_000
"""Milliseconds that a run may take on a busy machine."""


def finished(page: Page) -> None:
    expect(page.get_by_test_id("words")).to_have_text("That was all.", timeout=RUN)
    expect(page.get_by_test_id("badge")).to_contain_text("live")


def test_opening_a_link_runs_nothing(visit: Visit) -> None:
    runs: list[str] = []
    visit.page.on("request", lambda r: runs.append(r.url) if "/api/run/" in r.url else None)
    for address in ("life?module=dummy", "taint?choice=O", "play?choice=hello&guard=on"):
        visit.open(address)
        visit.page.wait_for_load_state("networkidle")
    assert runs == []


def test_figures_equal_the_command(visit: Visit) -> None:
    visit.open("life")
    visit.page.get_by_role("textbox", name="Parameters").fill("num=42 who=page")
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
    page.get_by_role("button", name="Open /dev/hello").click(timeout=RUN)
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
    expect(page.get_by_test_id("marks")).to_contain_text(f"line {line}", timeout=RUN)
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


def test_the_kernel_stops_where_the_doctor_said(visit: Visit) -> None:
    page = visit.page
    for failure in ("unsigned", "parameter"):
        visit.open(f"way?choice={failure}")
        page.get_by_role("button", name="Load it for real").click()
        finished(page)
        expect(page.get_by_test_id("agreed")).to_have_text("yes")
        assert (
            page.get_by_test_id("predicted").inner_text()
            == page.get_by_test_id("actual").inner_text()
        )


def test_a_module_of_ones_own_is_judged_and_loaded(visit: Visit, kernel: KernelFiles) -> None:
    page = visit.page
    visit.open("way")
    file = next(kernel.modules.rglob("dummy.ko"))
    page.get_by_label("or bring a module").set_input_files(file)
    page.get_by_role("button", name="Load it for real").click()
    finished(page)
    expect(page.get_by_test_id("agreed")).to_have_text("yes")


def test_taint_is_read_switched_and_caused(visit: Visit) -> None:
    page = visit.page
    visit.open("taint?choice=O")
    page.get_by_label("paste a number").fill("Tainted: G        W  OE     6.1.0-56-amd64")
    page.get_by_role("button", name="Read it").click()
    expect(page.get_by_test_id("value")).to_have_text("12 800")
    expect(page.get_by_role("switch", checked=True)).to_have_count(3)
    page.get_by_role("switch", name="W, bit 9").click()
    expect(page.get_by_test_id("letters")).to_have_text("OE")
    assert "value=12288" in page.url
    staging = page.get_by_role("listitem").filter(has=page.get_by_role("switch", name="C, bit 10"))
    staging.get_by_role("button", name="cause it for real").click()
    finished(page)
    expect(page.get_by_test_id("causes")).to_contain_text("staging driver: by")
    number = int(page.get_by_test_id("taint-now").inner_text())
    assert number & 1 << 10
    status, output, _ = lkm("taint", number, "--json")
    assert status in (0, 1)
    letters = json.loads(output)["report"]["letters"]
    expect(page.get_by_test_id("letters")).to_have_text(letters)


def test_an_edited_rule_decides_otherwise(visit: Visit) -> None:
    page = visit.page
    visit.open("rules?choice=options")
    plan = page.get_by_test_id("plan")
    expect(plan).to_contain_text("numdummies=3 numdummies=1")
    area = page.get_by_label("/etc/modprobe.d/local.conf")
    area.fill("install dummy /bin/false\n")
    expect(plan).to_contain_text("/bin/false")
    expect(page.get_by_test_id("rules")).to_contain_text("install dummy /bin/false")
    expect(page).to_have_url(re.compile("conf="))
    visit.open(page.url.split("#/")[1])
    expect(plan).to_contain_text("/bin/false")


def test_an_edge_tells_its_symbols(visit: Visit) -> None:
    page = visit.page
    visit.open("needs?module=btrfs")
    edge = page.get_by_role("button", name="btrfs needs xor")
    edge.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("symbols")).to_contain_text("xor_blocks")
    assert "edge=btrfs%3Axor" in page.url
    command = page.get_by_test_id("command").inner_text().split()
    status, output, errors = lkm(*command[1:], "--json")
    assert (status, errors) == (0, b"")
    page.get_by_text("The same as text").click()
    lines = page.get_by_test_id("twin").locator("li").all_inner_texts()
    loaded = {line.split()[1] for line in lines}
    assert "btrfs" in loaded
    assert loaded <= set(json.loads(output)["modules"])
