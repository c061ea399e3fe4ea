"""The page of demonstrations, in a browser: every endpoint it lists, and every frame that passes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.conftest import WATCH
from tests.browser.people import Person, end_compositions
from tests.browser.screens import NARROW, too_small
from tests.helpers import Server, unique


class Demos:
    """The page, in its own words."""

    def __init__(self, page: Page):
        self.page = page

    def demo(self, endpoint: str) -> Locator:
        heading = self.page.get_by_role("heading", name=endpoint, exact=True)
        return self.page.get_by_test_id("demo").filter(has=heading)

    def connect(self, endpoint: str, address: str | None = None) -> Locator:
        """Opens one more connection and waits until it is open."""
        demo = self.demo(endpoint)
        if address:
            demo.get_by_label("Address").fill(address)
        connection = demo.get_by_test_id("connection").nth(demo.get_by_test_id("connection").count())
        demo.locator(".opening").get_by_role("button", name="Connect").click()
        expect(state(connection)).to_have_text("Open")
        return connection


def state(connection: Locator) -> Locator:
    return connection.get_by_role("status")


def frames(connection: Locator, what: str) -> Locator:
    return connection.locator(f'.frame[data-what="{what}"]')


def content(connection: Locator, what: str) -> Locator:
    return frames(connection, what).locator(".content")


def send(connection: Locator, text: str, kind: str = "Text") -> None:
    connection.get_by_text(kind, exact=True).click()
    connection.get_by_role("textbox").fill(text)
    connection.get_by_role("button", name="Send", exact=True).click()


@pytest.fixture
def visit(server: Server, new_context: Callable[..., BrowserContext], people: list[Person]) -> Callable[..., Demos]:
    """Opens the page, as somebody without a session; afterwards it may not have had an error."""

    def open_page(server: Server = server, **options: Any) -> Demos:
        context = new_context(base_url=server.url, **options)
        context.add_init_script(WATCH)
        visitor = Person("visitor", context.new_page())
        people.append(visitor)
        visitor.page.on("pageerror", lambda error: visitor.mistakes.append(str(error)))
        visitor.page.on("console", visitor.hears)
        visitor.page.goto("/demos/")
        return Demos(visitor.page)

    return open_page


def test_every_endpoint_listed_can_be_opened_and_closed(visit: Callable[..., Demos]) -> None:
    page = visit()
    endpoints = page.page.get_by_role("heading", level=2).all_inner_texts()
    assert {"/ws/broadcast/", "/ws/rooms/<room>/", "/ws/echo/", "/ws/names/", "/ws/store/"} <= set(endpoints)
    assert "/ws/chat/" not in endpoints
    for endpoint in endpoints:
        connection = page.connect(endpoint)
        connection.get_by_role("button", name="Disconnect").click()
        expect(state(connection)).to_have_text("Closed, 1000")
        expect(content(connection, "note").last).to_have_text("Closed: 1000, done")


def test_text_goes_out_and_comes_back_with_direction_kind_and_time(visit: Callable[..., Demos]) -> None:
    echo = visit().connect("/ws/asgi/echo/")
    send(echo, "żółw")
    expect(content(echo, "sent")).to_have_text("żółw")
    expect(content(echo, "received")).to_have_text("Echo: żółw")
    expect(frames(echo, "sent")).to_contain_text("text, 7 bytes")
    expect(frames(echo, "received").locator("time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))
    expect(echo.get_by_role("log")).to_contain_text("Sent")
    expect(echo.get_by_role("log")).to_contain_text("Received")
    send(echo, "")
    expect(content(echo, "sent").last).to_have_text("empty")
    expect(content(echo, "received").last).to_have_text("Echo: ")


def test_bytes_are_written_in_hexadecimal_or_taken_from_a_file(visit: Callable[..., Demos], tmp_path: Path) -> None:
    echo = visit().connect("/ws/asgi/echo/")
    send(echo, "00 ff\n2A", kind="Hex bytes")
    expect(content(echo, "received")).to_have_text("00 ff 2a")
    expect(frames(echo, "received")).to_contain_text("binary, 3 bytes")
    expect(frames(echo, "received")).to_have_attribute("data-kind", "binary")

    file = tmp_path / "picture.bin"
    file.write_bytes(bytes(range(256)) * 4)
    echo.locator("[type=file]").set_input_files(file)
    expect(frames(echo, "received").last).to_contain_text("binary, 1,024 bytes")
    expect(content(echo, "received").last).to_have_text(re.compile(r"^00 01 02 .* fe ff … 512 more bytes$"))


@pytest.mark.parametrize("wrong", ["0", "0x", "g0", "00 f"])
def test_what_is_not_hexadecimal_is_explained_and_not_sent(visit: Callable[..., Demos], wrong: str) -> None:
    echo = visit().connect("/ws/asgi/echo/")
    send(echo, wrong, kind="Hex bytes")
    expect(echo.get_by_role("alert")).to_contain_text("two hexadecimal digits, such as 00 ff 2a")
    expect(echo.get_by_role("textbox")).to_have_value(wrong)
    expect(echo.get_by_role("textbox")).to_have_attribute("aria-invalid", "true")
    expect(frames(echo, "sent")).to_have_count(0)
    send(echo, "00", kind="Hex bytes")
    expect(echo.get_by_role("alert")).to_be_empty()
    expect(echo.get_by_role("textbox")).to_have_attribute("aria-invalid", "false")
    expect(content(echo, "received")).to_have_text("00")


def test_the_enter_that_ends_a_composition_sends_nothing(visit: Callable[..., Demos]) -> None:
    echo = visit().connect("/ws/asgi/echo/")
    echo.get_by_role("textbox").fill("にほん")
    end_compositions(echo.get_by_role("textbox"))
    expect(echo.get_by_role("textbox")).to_have_value("にほん")
    echo.get_by_role("textbox").press("Enter")
    expect(content(echo, "sent")).to_have_text(["にほん"])


def test_two_connections_stand_side_by_side_and_hear_each_other(visit: Callable[..., Demos]) -> None:
    page = visit(viewport={"width": 1280, "height": 800})
    address = f"/ws/rooms/{unique('room')}/"
    ann, bob = page.connect("/ws/rooms/<room>/", address), page.connect("/ws/rooms/<room>/", address)
    ann.get_by_role("button", name='{"user": "ann", "text": "hi"}').click()
    expect(ann.get_by_role("textbox")).to_be_focused()
    ann.get_by_role("textbox").press("Enter")
    for connection in (ann, bob):
        expect(content(connection, "received")).to_have_text('{"type":"message","user":"ann","text":"hi"}')
    expect(frames(bob, "sent")).to_have_count(0)
    left, right = ann.bounding_box(), bob.bounding_box()
    assert left and right
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] < right["x"]


def test_markup_in_a_frame_is_text(visit: Callable[..., Demos]) -> None:
    page = visit()
    markup = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
    echo = page.connect("/ws/asgi/echo/")
    send(echo, markup)
    expect(content(echo, "received")).to_have_text(f"Echo: {markup}")
    assert page.page.locator(".frames img, .frames script").count() == 0
    expect(page.page).to_have_title("Demonstrations · Harbour")


def test_what_is_published_elsewhere_arrives_and_since_brings_what_was_before(
    server: Server, visit: Callable[..., Demos]
) -> None:
    headline = unique("headline")
    server.manage("publish", "news", headline)
    feed = visit().connect("/ws/feed/")
    expect(content(feed, "received").filter(has_text=headline)).to_have_count(1)
    later = unique("later")
    server.manage("publish", "news", later)
    expect(content(feed, "received").last).to_have_text(later)


def test_the_chosen_subprotocol_is_shown(visit: Callable[..., Demos]) -> None:
    page = visit()
    demo = page.demo("/ws/subprotocols/")
    demo.get_by_label("Subprotocols offered").fill("soap, json")
    connection = page.connect("/ws/subprotocols/")
    expect(content(connection, "note")).to_have_text("Connected to /ws/subprotocols/, speaking json")
    demo.get_by_label("Subprotocols offered").fill("no good")
    demo.locator(".opening").get_by_role("button").click()
    expect(demo.locator(".opening").get_by_role("alert")).to_contain_text("“no good” cannot be a subprotocol")
    expect(demo.get_by_test_id("connection")).to_have_count(1)


def test_an_actor_is_returned_to_with_the_token_it_gave(visit: Callable[..., Demos]) -> None:
    page = visit()
    name = unique("ann")
    first = page.connect("/ws/names/")
    send(first, name)
    send(first, "hi")
    expect(content(first, "received").last).to_have_text(f"[{name}]: hi")
    token = json.loads(content(first, "received").first.inner_text())["token"]
    first.get_by_role("button", name="Disconnect").click()
    expect(state(first)).to_have_text("Closed, 1000")
    page.demo("/ws/names/").get_by_label("Subprotocols offered").fill(f"session, session.{token}")
    again = page.connect("/ws/names/")
    send(again, "back")
    expect(content(again, "received").last).to_have_text(f"[{name}]: back")


def test_what_one_connection_stores_another_fetches(visit: Callable[..., Demos]) -> None:
    page = visit()
    one, other = page.connect("/ws/store/"), page.connect("/ws/store/")
    key = unique("apples")
    send(one, f'{{"type": "StoreRequest", "key": "{key}", "value": [3]}}')
    expect(content(one, "received")).to_contain_text('"stored"')
    send(other, f'{{"type": "FetchRequest", "key": "{key}"}}')
    expect(content(other, "received")).to_have_text(f'{{"type":"fetched","key":"{key}","value":[3]}}')


@pytest.mark.parametrize(
    "address", ["https://example.org/ws/echo/", "//example.org/ws/", "wss://example.org/", "http://"]
)
def test_an_address_of_another_server_is_not_tried(visit: Callable[..., Demos], address: str) -> None:
    page = visit()
    demo = page.demo("/ws/asgi/echo/")
    demo.get_by_label("Address").fill(address)
    demo.locator(".opening").get_by_role("button").click()
    connections = demo.get_by_test_id("connection")
    if address.startswith("//"):  # a path of this server: nothing is there
        expect(state(connections)).to_have_text("Closed, 1006")
        expect(content(connections, "note")).to_contain_text("Not connected: refused, or the server is away (1006)")
    else:
        expect(demo.locator(".opening").get_by_role("alert")).not_to_be_empty()
        expect(connections).to_have_count(0)


def test_closes_are_told_and_one_can_connect_again(own_server: Server, visit: Callable[..., Demos]) -> None:
    echo = visit(own_server).connect("/ws/asgi/echo/")
    own_server.stop()
    expect(state(echo)).to_have_text("Closed, 1012")
    expect(content(echo, "note").last).to_have_text(re.compile(r"^Closed: 1012, the server restarts"))
    send(echo, "kept")
    expect(echo.get_by_role("alert")).to_contain_text("This connection is not open. What you wrote is still here.")
    expect(echo.get_by_role("textbox")).to_have_value("kept")
    echo.get_by_role("button", name="Connect again").click()
    expect(content(echo, "note").last).to_contain_text("Not connected")
    own_server.start()
    echo.get_by_role("button", name="Connect again").click()
    expect(state(echo)).to_have_text("Open")
    echo.get_by_role("button", name="Send", exact=True).click()
    expect(content(echo, "received")).to_have_text("Echo: kept")
    own_server.kill()
    expect(content(echo, "note").last).to_have_text("Closed: 1006, lost, without a goodbye")


def test_a_file_beyond_the_limit_shows_the_servers_close(
    start_server: Callable[..., Server], visit: Callable[..., Demos], tmp_path: Path
) -> None:
    echo = visit(start_server(WEBSOCKET_MAX_MESSAGE_SIZE=1_000)).connect("/ws/asgi/echo/")
    file = tmp_path / "large.bin"
    file.write_bytes(b"\0" * 1_001)
    echo.locator("[type=file]").set_input_files(file)
    expect(state(echo)).to_have_text("Closed, 1009")
    expect(content(echo, "note").last).to_contain_text("a message that is too large")


def test_a_flood_does_not_fill_the_page(visit: Callable[..., Demos]) -> None:
    page = visit()
    address = f"/ws/rooms/{unique('room')}/"
    reader = page.connect("/ws/rooms/<room>/", address)
    page.page.evaluate(
        """(address) => {
            const socket = new WebSocket(location.origin.replace("http", "ws") + address);
            socket.onopen = () => {
                for (let n = 1; n <= 1000; n++) socket.send(JSON.stringify({ text: `number ${n}` }));
            };
        }""",
        address,
    )
    expect(content(reader, "received").last).to_contain_text('"number 1000"')
    expect(reader.get_by_test_id("frames").get_by_role("listitem")).to_have_count(200)
    expect(reader.get_by_text("801 earlier are no longer shown.")).to_have_count(1)  # and "Connected"
    expect(frames(reader, "received").last).to_be_in_viewport()


def test_connections_have_a_limit_and_can_be_removed(visit: Callable[..., Demos]) -> None:
    page = visit()
    for _ in range(20):
        page.connect("/ws/asgi/echo/")
    demo = page.demo("/ws/asgi/echo/")
    opening = demo.locator(".opening")
    opening.get_by_role("button").click()
    expect(opening.get_by_role("alert")).to_have_text("There are 20 connections already. Remove one first.")
    demo.get_by_role("button", name="Remove connection 7", exact=True).click()
    expect(demo.get_by_test_id("connection")).to_have_count(19)
    expect(opening.get_by_role("button")).to_be_focused()
    page.connect("/ws/asgi/echo/")
    expect(opening.get_by_role("alert")).to_be_empty()


def test_keys_alone_are_enough_and_names_are_told(visit: Callable[..., Demos]) -> None:
    page = visit()
    keyboard = page.page.keyboard
    page.demo("/ws/asgi/echo/").get_by_label("Address").focus()
    keyboard.press("Enter")
    region = page.page.get_by_role("region", name="Connection 1")
    expect(state(region)).to_have_text("Open")
    expect(page.page.get_by_role("textbox", name="Message on connection 1")).to_be_focused()
    keyboard.type("one")
    keyboard.press("Shift+Enter")
    keyboard.type("two")
    keyboard.press("Enter")
    expect(content(region, "received")).to_have_text("Echo: one\ntwo")
    keyboard.press("Tab")
    expect(page.page.get_by_role("radio", name="Text")).to_be_focused()
    keyboard.press("ArrowRight")
    keyboard.press("Shift+Tab")
    keyboard.type("00")
    keyboard.press("Enter")
    expect(content(region, "received").last).to_have_text("00")
    expect(page.page.get_by_role("log", name="Frames of connection 1")).to_be_visible()
    region.get_by_role("button", name="Disconnect").focus()
    keyboard.press("Enter")
    expect(region.get_by_role("button", name="Connect again")).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(region).to_have_count(0)
    expect(page.demo("/ws/asgi/echo/").get_by_role("button", name="Connect")).to_be_focused()


def test_390_px_and_a_finger_are_enough(visit: Callable[..., Demos]) -> None:
    page = visit(viewport=NARROW, has_touch=True, is_mobile=True)
    connection = page.connect("/ws/subprotocols/")
    expect(connection.get_by_role("textbox")).to_be_in_viewport()
    send(connection, "averylongwordthatneverends" * 12)
    expect(frames(connection, "received")).to_have_count(1)
    assert page.page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    assert (
        too_small(
            page.page.locator("button:visible, a:visible, .opening input:visible, textarea:visible, .file:visible")
        )
        == []
    )


def test_light_and_dark_come_from_one_place(visit: Callable[..., Demos]) -> None:
    brightness = []
    for scheme in ("light", "dark"):
        page = visit(color_scheme=scheme)
        connection = page.connect("/ws/asgi/echo/")
        colours = [
            part.evaluate("element => getComputedStyle(element).backgroundColor")
            for part in (page.page.locator("body"), connection, connection.get_by_role("log"))
        ]
        brightness.append([sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours])
    assert all(light > 600 > 200 > dark for light, dark in zip(*brightness, strict=True)), brightness
