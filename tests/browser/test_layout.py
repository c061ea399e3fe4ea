"""Wide and narrow, light and dark, with a mouse or with keys alone."""

import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.people import Person, end_compositions
from tests.browser.screens import NARROW, too_small
from tests.helpers import Server

ComeIn = Callable[..., Person]

# On a touch screen the page does not put the focus into the message box by itself: the Tab key begins at the top.
UNFOCUSED: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "has_touch": True, "is_mobile": True}


def test_390_px_are_enough(server: Server, room: str, come_in: ComeIn) -> None:
    ann = come_in(room, viewport=NARROW, has_touch=True)
    ann.say("averylongwordthatneverends" * 12)
    ann.say("`code` and a table\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    expect(ann.sent("code")).to_be_in_viewport()
    assert ann.page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    for part in (ann.composer, ann.page.get_by_test_id("send"), ann.timeline):
        box = part.bounding_box()
        assert box, "not shown"
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= NARROW["width"]
        assert box["y"] + box["height"] <= NARROW["height"]

    link = ann.room_link("lobby")
    expect(link).not_to_be_in_viewport()
    ann.page.get_by_role("button", name="Rooms").click()
    expect(link).to_be_in_viewport()
    link.click()
    expect(ann.page).to_have_url(f"{server.url}/rooms/lobby/")
    expect(link).not_to_be_in_viewport()


def test_touch_targets_are_large_enough(room: str, come_in: ComeIn) -> None:
    ann = come_in(room, viewport=NARROW, has_touch=True, is_mobile=True)
    assert too_small(ann.page.locator("button:visible, .sidebar a:visible")) == []


def test_the_skip_link_comes_first_and_leads_to_the_composer(room: str, come_in: ComeIn) -> None:
    ann = come_in(room, **UNFOCUSED)
    ann.page.keyboard.press("Tab")
    skip = ann.page.get_by_role("link", name="Skip to the message box")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    ann.page.keyboard.press("Enter")
    expect(ann.composer).to_be_focused()


def test_the_finder_goes_to_a_room_without_a_mouse(server: Server, room: str, come_in: ComeIn) -> None:
    ann = come_in(room)
    finder = ann.page.get_by_role("dialog", name="Find a room")
    ann.page.keyboard.press("Control+k")
    expect(finder).to_be_visible()
    ann.page.keyboard.press("Escape")
    expect(finder).to_be_hidden()
    ann.page.keyboard.press("Control+k")
    ann.page.keyboard.type("lob")
    expect(finder.get_by_role("option").first).to_contain_text("Lobby")
    ann.page.keyboard.press("Enter")
    expect(finder).to_be_hidden()
    expect(ann.page).to_have_url(f"{server.url}/rooms/lobby/")
    expect(ann.composer).to_be_focused()


def test_the_enter_that_ends_a_composition_chooses_no_room(room: str, come_in: ComeIn) -> None:
    ann = come_in(room)
    ann.page.keyboard.press("Control+k")
    end_compositions(ann.page.get_by_role("combobox", name="Find a room"))
    expect(ann.page.get_by_role("dialog", name="Find a room")).to_be_visible()


def test_focus_can_be_seen(room: str, come_in: ComeIn) -> None:
    """Every stop of the Tab key shows an outline, a ring or a border that it has not without focus."""
    ann = come_in(room, **UNFOCUSED)
    look = """(element) => {
        const shown = [element, element.closest("form.composer") ?? element].map((each) => getComputedStyle(each));
        return shown.map((style) => [style.outline, style.boxShadow, style.borderColor, style.backgroundColor]).join();
    }"""
    stops = []
    for _ in range(12):
        ann.page.keyboard.press("Tab")
        focused = ann.page.evaluate_handle("document.activeElement").as_element()
        assert focused
        name = focused.evaluate("element => element.id || element.ariaLabel || element.textContent.trim()")
        if name in stops:
            break
        stops.append(name)
        seen = focused.evaluate(look)
        focused.evaluate("element => element.blur()")
        unseen = focused.evaluate(look)
        focused.focus()
        assert seen != unseen, f"{name} looks the same with focus"
    assert len(stops) > 5


# In px: how far right of the first letter the last one stands, and how far the first is from either end of the line.
RUN = """
    (text) => {
        const node = document.createTreeWalker(text, NodeFilter.SHOW_TEXT).nextNode();
        const [first, last] = [0, node.length - 1].map((start) => {
            const range = new Range();
            range.setStart(node, start);
            range.setEnd(node, start + 1);
            return range.getBoundingClientRect();
        });
        const line = text.getBoundingClientRect();
        return [last.x - first.x, first.left - line.left, line.right - first.right];
    }
"""


def test_each_line_runs_from_its_own_side(room: str, come_in: ComeIn) -> None:
    ann = come_in(room)
    for text, direction in (("hello world!", "ltr"), ("שלום עולם!", "rtl")):
        ann.composer.fill(text)
        expect(ann.composer).to_have_css("direction", direction)
        ann.composer.press("Enter")
        run, left, right = ann.sent(text).locator(".said p").evaluate(RUN)
        assert (run > 0, left < right) == (direction == "ltr",) * 2, f"{text}: {run}, {left}, {right}"


RING = re.compile(r"\bsolid 2px$")


def test_forced_colours_show_the_focus_and_the_current_room(room: str, come_in: ComeIn) -> None:
    """They take every shadow and every ground away, and give a transparent outline a colour."""
    ann = come_in(room, forced_colors="active", reduced_motion="reduce")
    current = ann.room_link(room)
    expect(current).to_have_attribute("aria-current", "page")
    marked = current.screenshot()
    current.evaluate("link => link.removeAttribute('aria-current')")
    assert current.screenshot() != marked, "the current room looks like any other"
    ann.composer.focus()
    expect(ann.page.locator("form.composer")).to_have_css("outline", RING)
    for path, label in (("/demos/quiz/", "Your name"), ("/demos/", "Address")):
        ann.page.goto(path)
        field = ann.page.get_by_label(label).first
        field.focus()
        expect(field).to_have_css("outline", RING)


# How far from its end a timeline is, once something has taken room away in the frame in which it was told to scroll.
SQUEEZED = """
    async (timeline) => {
        const frame = () => new Promise(requestAnimationFrame);
        timeline.scrollTop -= 8;
        document.querySelector("[data-testid=composer]").style.minHeight = "200px";
        for (let frames = 0; frames < 4; frames += 1) await frame();
        return timeline.scrollHeight - timeline.clientHeight - timeline.scrollTop;
    }
"""


def test_who_is_at_the_end_stays_there_when_something_takes_room_away(room: str, come_in: ComeIn) -> None:
    ann = come_in(room)
    ann.say("\n\n".join(f"line {number}" for number in range(40)))
    expect(ann.sent("line 39")).to_have_count(1)
    assert ann.timeline.evaluate("timeline => timeline.scrollHeight - timeline.clientHeight") > 100
    assert abs(ann.timeline.evaluate(SQUEEZED)) <= 1
    ann.composer.evaluate("composer => composer.style.minHeight = ''")
    ann.timeline.evaluate("timeline => timeline.scrollTop -= 200")
    assert ann.timeline.evaluate(SQUEEZED) > 100, "who reads further up is left in peace"


def pixels(png: bytes) -> bytes:
    """A PNG's image data, still filtered: enough to tell an empty picture from one with something in it."""
    data, position = b"", 8
    while position < len(png):
        size, kind = struct.unpack_from(">I4s", png, position)
        if kind == b"IDAT":
            data += png[position + 8 : position + 8 + size]
        position += size + 12
    return zlib.decompress(data)


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 800}, NARROW], ids=["wide", "narrow"])
def test_light_and_dark_show_the_same_page_in_other_colours(
    room: str, come_in: ComeIn, viewport: dict[str, int]
) -> None:
    backgrounds, texts = [], []
    for scheme in ("light", "dark"):
        ann = come_in(room, viewport=viewport, color_scheme=scheme)
        ann.say(f"in the {scheme}")
        expect(ann.sent(f"in the {scheme}")).to_have_count(1)
        picture = pixels(ann.page.screenshot())
        assert len(set(picture)) > 32, "the picture is empty"
        backgrounds.append(ann.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        texts.append(ann.page.evaluate("getComputedStyle(document.body).color"))
    light, dark = (sum(map(int, colour[4:-1].split(",")[:3])) for colour in backgrounds)
    assert light > 600 > 200 > dark
    assert texts[0] != texts[1]
