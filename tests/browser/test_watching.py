"""Diagrams and recordings in a browser, with real clients: what actors do is seen while they do it, and afterwards."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.screens import NARROW
from tests.browser.test_panel import client, enter, picture  # noqa: F401
from tests.helpers import PROJECT, Server, unique

NAMES = "/admin/diagrams/?path=/ws/names/"


def talk(page: Page, *words: str) -> None:
    """Say words one after another; the room says the last one again."""
    for word in words:
        page.evaluate("word => window.say(word)", word)
    page.wait_for_function("word => window.heard.some((text) => text.endsWith(`]: ${word}`))", arg=words[-1])


def test_a_diagram_shows_how_many_are_in_each_state_now(
    server: Server,
    enter: Callable[..., Page],  # noqa: F811
    client: Callable[[Server, str], Page],  # noqa: F811
) -> None:
    page = enter(server, NAMES)
    expect(page.get_by_test_id("state")).to_have_text("Live")
    named = page.locator('.state-diagram [data-state="Named"]')
    expect(named.locator(".now")).to_have_count(0)
    expect(page.locator("[data-total]")).to_have_text("0", timeout=15_000)
    clients = [client(server, "/ws/names/") for _ in range(3)]
    for number, each in enumerate(clients[:2]):
        talk(each, unique(f"bob{number}"), "hi")
    expect(named.locator(".now")).to_have_text("2", timeout=15_000)
    expect(page.locator('.state-diagram [data-state="Unnamed"] .now')).to_have_text("1")
    expect(page.locator("[data-total]")).to_have_text("3")
    picture(page, "diagram-light")
    clients[0].close()
    expect(named.locator(".now")).to_have_text("1", timeout=15_000)
    expect(page.get_by_test_id("diagram").locator("svg desc")).to_contain_text("Unnamed leads to Claiming on str.")
    page.context.set_offline(True)
    expect(page.get_by_test_id("state")).to_have_text("The numbers could not be renewed: they may be old.")
    page.context.set_offline(False)
    expect(page.get_by_test_id("state")).to_have_text("Live")


def test_a_session_is_recorded_found_replayed_and_exported(
    server: Server,
    enter: Callable[..., Page],  # noqa: F811
    client: Callable[[Server, str], Page],  # noqa: F811
    tmp_path: Path,
) -> None:
    name = unique("bob")
    talker = client(server, "/ws/names/")
    talk(talker, " ", name, "<b>hello</b>")
    page = enter(server, "/admin/actors/step/?message=str")
    row = page.locator("#result_list tbody tr", has_text="Unnamed → Claiming").first
    expect(row).to_be_visible(timeout=15_000)
    picture(page, "steps-light")
    page.goto("/admin/actors/recording/")
    picture(page, "recordings-light")
    page.locator("#result_list tbody tr").first.locator("a").first.click()
    steps = page.get_by_test_id("step")
    expect(steps.filter(has_text="<b>hello</b>").last).to_contain_text("Named")
    expect(steps.nth(1)).to_contain_text("ClientConnected")
    picture(page, "recording-light")
    page.get_by_role("link", name="Replay", exact=True).last.click()
    expect(page.get_by_test_id("verdict")).to_contain_text("the same")
    expect(steps.filter(has_text="otherwise")).to_have_count(0)
    picture(page, "recording-replayed-light")
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Export as a test").click()
    file = tmp_path / downloading.value.suggested_filename
    downloading.value.save_as(file)
    assert file.name.startswith("test_recorded_ws_names_")
    options = ["-q", "-p", "no:cacheprovider", f"--rootdir={PROJECT}", "-c", str(PROJECT / "pyproject.toml"), str(file)]
    done = subprocess.run([sys.executable, "-m", "pytest", *options], cwd=PROJECT, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout + done.stderr + file.read_text()
    page.goto("/admin/admin/logentry/")
    expect(page.locator("#result_list tbody tr").first).to_contain_text("Exported as a test.")
    page.goto("/admin/recordings/replay/")
    page.get_by_label("Endpoint").select_option("/ws/names/")
    page.get_by_role("button", name="Replay against today’s rules").click()
    expect(page.get_by_test_id("summary")).to_contain_text("the same")
    expect(page.get_by_test_id("summary")).not_to_contain_text("otherwise")
    expect(page.get_by_test_id("replays").locator("tbody tr").first).to_contain_text("/ws/names/")
    picture(page, "replays-light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_watching_fits_390_px_and_both_schemes(
    server: Server,
    enter: Callable[..., Page],  # noqa: F811
    client: Callable[[Server, str], Page],  # noqa: F811
    scheme: str,
) -> None:
    talk(client(server, "/ws/names/"), unique("ann"), "good evening")
    page = enter(server, "/admin/actors/recording/", viewport=NARROW, color_scheme=scheme)
    expect(page.locator("#result_list tbody tr").first).to_be_visible(timeout=15_000)
    recording = page.locator("#result_list tbody tr a").first.get_attribute("href") or ""
    replay = "/admin/recordings/replay/?run=1"
    pages = {"diagram": NAMES, "recording": f"{recording.partition('?')[0]}?replay=1", "replays": replay}
    pages |= {"steps": "/admin/actors/step/", "recordings": "/admin/actors/recording/"}
    for view, size in (("narrow", NARROW), ("wide", {"width": 1360, "height": 900})):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        for name, path in pages.items():
            page.goto(path)
            expect(page.locator(".panel-head, #result_list, .panel-table").first).to_be_visible()
            picture(page, f"{name}-{view}-{scheme}")
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
