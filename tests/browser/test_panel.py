"""The admin panel in a browser, with real clients: what staff see moves, and what they order happens."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.admin_panel.conftest import hire
from tests.browser.conftest import WATCH
from tests.browser.people import Person
from tests.helpers import Server, cookies, unique

NARROW = {"width": 390, "height": 844}
KEPT = os.environ.get("PANEL_PICTURES")  # a folder for pictures of the pages, to be looked at

SETTLED = "document.fonts.ready.then(() => new Promise((drawn) => setTimeout(() => requestAnimationFrame(drawn), 100)))"
CLIENT = """
    (address) => new Promise((resolve) => {
        const socket = new WebSocket(location.origin.replace("http", "ws") + address);
        window.ended = new Promise((told) => (socket.onclose = ({ code, reason }) => told([code, reason])));
        window.say = (text) => socket.send(text);
        window.heard = [];
        socket.onmessage = ({ data }) => window.heard.push(data);
        socket.onopen = () => resolve();
    })
"""


def picture(page: Page, name: str, after: float = 0) -> None:
    """after: milliseconds in which the charts have something to draw."""
    if KEPT:
        page.wait_for_timeout(after)
        page.screenshot(path=str(Path(KEPT) / f"{name}.png"))


@pytest.fixture
def enter(new_context: Callable[..., BrowserContext], people: list[Person]) -> Callable[..., Page]:
    """Opens a page of a server as a member of staff; afterwards it may not have had an error."""

    def open_page(server: Server, path: str, who: str = "super", **options: Any) -> Page:
        context = new_context(base_url=server.url, **{"viewport": {"width": 1360, "height": 900}, **options})
        kept = cookies(hire(server, who)[who])
        context.add_cookies([{"name": key, "value": value, "url": server.url} for key, value in kept.items()])
        context.add_init_script(WATCH)
        person = Person(who, context.new_page())
        people.append(person)
        person.page.on("pageerror", lambda error: person.mistakes.append(str(error)))
        person.page.on("console", person.hears)
        person.page.goto(path)
        return person.page

    return open_page


@pytest.fixture
def client(new_context: Callable[..., BrowserContext]) -> Callable[[Server, str], Page]:
    """A page with an open socket: `window.say(text)`, `window.ended`, `window.heard`."""

    def connect(server: Server, address: str) -> Page:
        page = new_context(base_url=server.url).new_page()
        page.goto("/healthz")
        page.evaluate(CLIENT, address)
        return page

    return connect


def points(page: Page) -> int:
    return int(page.locator("canvas").first.get_attribute("data-points") or 0)


def tile(page: Page, title: str) -> Any:
    return page.locator(".panel-number", has_text=title).locator("dd")


def test_the_dashboard_moves_pauses_and_says_when_it_is_old(
    own_server: Server, enter: Callable[..., Page], client: Callable[[Server, str], Page]
) -> None:
    page = enter(own_server, "/admin/")
    expect(page.get_by_test_id("state")).to_have_text("Live")
    expect(page.locator("canvas")).to_have_count(8)
    talker = client(own_server, "/ws/broadcast/")
    expect(tile(page, "Clients")).to_have_text("2")  # and the dashboard itself
    talker.evaluate("window.talking = setInterval(() => window.say('hello'), 20)")
    expect(tile(page, "Messages in")).to_have_text(re.compile(r"^[1-9][0-9.]* /s$"))
    expect(tile(page, "Deliveries out")).to_have_text(re.compile(r"^[1-9][0-9.]* /s$"))
    row = page.get_by_test_id("servers").locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("serves")
    expect(row).to_contain_text(str(own_server.pid))
    before = points(page)
    page.wait_for_function("before => Number(document.querySelector('canvas').dataset.points) > before + 1", arg=before)
    picture(page, "dashboard-light")

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_test_id("state")).to_contain_text("Paused")
    shown = points(page)
    talker.close()
    page.wait_for_timeout(2_500)
    assert points(page) == shown
    expect(tile(page, "Clients")).to_have_text("2")
    page.get_by_role("button", name="Go on").click()
    expect(tile(page, "Clients")).to_have_text("1")
    assert points(page) > shown

    page.get_by_role("button", name="1 min").click()
    expect(page.get_by_role("button", name="1 min")).to_have_attribute("aria-pressed", "true")
    own_server.freeze()
    expect(page.get_by_test_id("state")).to_have_text("Nothing has come for some seconds: this is old.")
    own_server.thaw()
    expect(page.get_by_test_id("state")).to_have_text("Live")
    own_server.stop()
    expect(page.get_by_test_id("state")).to_contain_text("Connection lost: this is old. Trying again in")
    own_server.start()
    expect(page.get_by_test_id("state")).to_have_text("Live", timeout=30_000)


def test_a_client_comes_is_watched_and_closed_and_goes(
    server: Server, enter: Callable[..., Page], client: Callable[[Server, str], Page]
) -> None:
    room = f"/ws/rooms/{unique('room')}/"
    listed = enter(server, f"/admin/realtime_project/connection/?q={room}")
    rows = listed.locator("#result_list tbody tr", has_text=room)
    expect(rows).to_have_count(0)
    talker = client(server, room)
    expect(rows).to_have_count(1)  # by itself
    picture(listed, "clients-light")
    rows.locator("a").first.click()

    expect(listed.get_by_test_id("tail-state")).to_have_text("Not watched")
    listed.get_by_test_id("tail-toggle").click()
    expect(listed.get_by_test_id("tail-state")).to_have_text("Watching")
    listed.wait_for_timeout(500)
    talker.evaluate("""window.say('{"user": "ann", "text": "<b>hi</b>", "token": "s3cret"}')""")
    frames = listed.get_by_test_id("tail-frames").locator("li")
    expect(frames).to_have_count(2)
    expect(frames.first).to_contain_text('"text": "<b>hi</b>"')
    expect(listed.get_by_test_id("tail-frames")).not_to_contain_text("s3cret")
    picture(listed, "client-light")
    listed.get_by_test_id("tail-toggle").click()
    expect(listed.get_by_test_id("tail-state")).to_have_text("Not watched")

    listed.get_by_role("link", name="Close…").click()
    expect(listed.get_by_test_id("targets")).to_contain_text(room)
    listed.get_by_label("Reason").fill("that is enough")
    listed.get_by_role("button", name="Close", exact=True).click()
    expect(listed.get_by_test_id("order")).to_contain_text("This field is required")
    why = unique("why")
    listed.get_by_label("Why").fill(why)
    picture(listed, "order-light")
    listed.get_by_role("button", name="Close", exact=True).click()
    assert talker.evaluate("window.ended") == [4410, "that is enough"]
    expect(listed.get_by_text("Closing 1 connection.")).to_be_visible()
    listed.goto(f"/admin/realtime_project/connection/?q={room}")
    expect(rows).to_have_count(0)
    listed.goto("/admin/admin/logentry/")
    expect(listed.locator("#result_list")).to_contain_text(f"Closed with 4410 that is enough. Why: {why}")


def test_an_announcement_stands_above_the_room_until_it_is_put_away(
    server: Server, come_in: Callable[..., Person], enter: Callable[..., Page], room: str
) -> None:
    ann = come_in(room)
    panel = enter(server, "/admin/orders/announce/")
    text = f"<i>{unique('tea')}</i> at five"
    panel.get_by_label("Text").fill(text)
    panel.get_by_label("Why").fill("tea")
    panel.get_by_role("button", name="Announce").click()
    expect(ann.page.get_by_test_id("announcement").locator("p")).to_have_text(text)
    picture(ann.page, "announcement")
    ann.page.get_by_role("button", name="Got it").click()
    expect(ann.page.get_by_test_id("announcement")).to_be_empty()


def test_who_may_only_look_has_no_buttons(
    server: Server, enter: Callable[..., Page], client: Callable[[Server, str], Page]
) -> None:
    room = f"/ws/rooms/{unique('room')}/"
    client(server, room)
    page = enter(server, f"/admin/realtime_project/connection/?q={room}", "viewer")
    row = page.locator("#result_list tbody tr", has_text=room)
    expect(row).to_have_count(1)
    expect(page.locator(".action-select")).to_have_count(0)
    row.locator("a").first.click()
    expect(page.get_by_text("127.0.0.1").first).to_be_visible()
    for name in ("Close…", "Send a message…", "Ban this address…"):
        expect(page.get_by_role("link", name=name)).to_have_count(0)
    expect(page.locator("#tail")).to_have_count(0)
    expect(page.get_by_role("link", name="Announce")).to_have_count(0)


def test_the_console_connects_to_any_endpoint(server: Server, enter: Callable[..., Page]) -> None:
    page = enter(server, "/admin/console/")
    endpoints = page.get_by_role("heading", level=2).all_inner_texts()
    assert {"/ws/chat/", "/ws/dashboard/", "/ws/asgi/echo/"} <= set(endpoints)
    echo = page.get_by_test_id("demo").filter(has=page.get_by_role("heading", name="/ws/asgi/echo/", exact=True))
    echo.locator(".opening").get_by_role("button", name="Connect").click()
    connection = echo.get_by_test_id("connection")
    expect(connection.get_by_role("status")).to_have_text("Open")
    connection.get_by_role("textbox").fill("hello")
    connection.get_by_role("button", name="Send", exact=True).click()
    expect(connection.locator('.frame[data-what="received"] .content')).to_have_text("Echo: hello")
    picture(page, "console")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_390_px_are_enough(server: Server, enter: Callable[..., Page], scheme: str) -> None:
    page = enter(server, "/admin/", viewport=NARROW, color_scheme=scheme)
    pages = {"dashboard": "/admin/", "clients": "/admin/realtime_project/connection/", "endpoints": "/admin/endpoints/",
             "servers": "/admin/realtime_project/server/", "ban": "/admin/orders/ban/"}  # fmt: skip
    for name, path in pages.items():
        page.goto(path)
        if name == "dashboard":
            expect(page.get_by_test_id("state")).to_have_text("Live")
            expect(page.locator("canvas").first).not_to_have_attribute("data-points", "0")
        page.evaluate(SETTLED)
        picture(page, f"{name}-narrow-{scheme}", after=1_500)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], path


def test_dark_is_dark(server: Server, enter: Callable[..., Page]) -> None:
    page = enter(server, "/admin/", color_scheme="dark")
    expect(page.get_by_test_id("state")).to_have_text("Live")
    picture(page, "dashboard-dark", after=3_000)
    colour = page.locator(".panel-number").first.evaluate("element => getComputedStyle(element).backgroundColor")
    light = page.locator(".panel-number dd").first.evaluate("element => getComputedStyle(element).color")
    assert colour != light
    page.goto("/admin/realtime_project/connection/")
    picture(page, "clients-dark", after=500)
