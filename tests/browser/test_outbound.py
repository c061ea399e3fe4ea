"""Outbound clients in a browser: staff make one, start it and stop it, and see how it goes while it does."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.screens import NARROW
from tests.browser.test_panel import enter, picture  # noqa: F401
from tests.helpers import Server, free_port, running

LIST = "/admin/actors/outboundclient/"


@pytest.fixture(scope="module")
def reaching(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may connect to this machine."""
    with running(Server(tmp_path_factory.mktemp("reaching"), template, OUTBOUND_ALLOW="127.0.0.1"), servers) as own:
        yield own


def fill(page: Page, name: str, url: str) -> None:
    page.goto(f"{LIST}add/")
    page.get_by_role("textbox", name="Name").fill(name)
    page.get_by_role("textbox", name="URL").fill(url)
    page.locator("input[name=out_stream_from][value=news]").check()
    page.get_by_role("button", name="Save", exact=True).click()


def order(page: Page, what: str) -> None:
    expect(page.get_by_test_id("condition")).to_be_visible()
    menu = page.get_by_text("more_horiz", exact=True)  # on narrow screens
    if menu.is_visible():
        menu.click()
    page.get_by_role("link", name=what).click()
    page.get_by_label("Why").fill("a test asks")
    page.get_by_test_id("order").get_by_role("button").click()


def test_staff_make_start_watch_and_stop_one(
    reaching: Server,
    enter: Callable[..., Page],  # noqa: F811
) -> None:
    page = enter(reaching, LIST)
    fill(page, "inside", "ws://2852039166/")
    expect(page.get_by_text("169.254.169.254, a link-local address: OUTBOUND_ALLOW does not name it")).to_be_visible()
    picture(page, "outbound-refused-light")
    fill(page, "mirror", reaching.ws("ws/broadcast/?token=geheim"))
    page.get_by_role("link", name="mirror").first.click()
    condition, numbers = page.get_by_test_id("condition"), page.get_by_test_id("outbound").locator(".panel-number")
    expect(condition).to_have_text("stopped")
    order(page, "Start…")
    page.goto(LIST)
    page.get_by_role("link", name="mirror").first.click()
    born = page.evaluate("performance.timeOrigin")
    expect(condition).to_have_text("connected", timeout=15_000)
    reaching.manage("publish", "news", "hello")
    expect(numbers.filter(has_text="Sent").first).to_contain_text("1", timeout=15_000)
    expect(numbers.filter(has_text="Received")).to_contain_text("1")  # as the chatroom sends it to everybody
    picture(page, "outbound-light")
    assert page.evaluate("performance.timeOrigin") == born, "the page was not loaded again"
    order(page, "Stop…")
    page.goto(LIST)
    page.get_by_role("link", name="mirror").first.click()
    expect(condition).to_have_text("stopped", timeout=15_000)
    page.goto("/admin/admin/logentry/")
    expect(page.locator("#result_list tbody tr").first).to_contain_text("Stopped. Why: a test asks")
    expect(page.locator("body")).not_to_contain_text("geheim")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_trouble_is_told_on_a_narrow_screen_too(
    reaching: Server,
    enter: Callable[..., Page],  # noqa: F811
    scheme: str,
) -> None:
    page = enter(reaching, LIST, viewport=NARROW, color_scheme=scheme)
    fill(page, f"nobody {scheme}", f"ws://127.0.0.1:{free_port()}/")
    page.get_by_role("link", name=f"nobody {scheme}").first.click()
    order(page, "Start…")
    page.goto(LIST)
    page.get_by_role("link", name=f"nobody {scheme}").first.click()
    expect(page.get_by_test_id("condition")).to_have_text("waiting", timeout=15_000)
    expect(page.get_by_test_id("last-error")).to_contain_text("Connect call failed")
    picture(page, f"outbound-narrow-{scheme}")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    page.set_viewport_size({"width": 1360, "height": 900})
    picture(page, f"outbound-wide-{scheme}")
    page.goto(LIST)
    picture(page, f"outbound-list-{scheme}")
