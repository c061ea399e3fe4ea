"""Taking back, correcting and answering with a picture: what people do to messages after they were sent."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.people import Person
from tests.browser.screens import NARROW, too_small
from tests.helpers import Server

ComeIn = Callable[..., Person]

BACK = 45_000  # ms: waits between attempts to connect grow while the server is away


def tool(person: Person, text: str, name: str) -> Locator:
    """A tool of the message, once the pointer is at it."""
    person.message(text).hover()
    return person.message(text).get_by_test_id("tools").get_by_role("button", name=name)


def reaction(person: Person, text: str, emoji: str) -> Locator:
    return person.message(text).locator(f'[data-testid=reaction][data-emoji="{emoji}"]')


def test_an_edit_is_seen_by_all_and_marked(room: str, come_in: ComeIn) -> None:
    ann, bob = come_in(room), come_in(room)
    ann.say("teh first")
    ann.composer.fill("a draft that has to wait")
    for person in (ann, bob):
        expect(person.sent("teh first")).to_have_count(1)
    tool(ann, "teh first", "Edit").click()
    expect(ann.page.get_by_test_id("editing")).to_be_visible()
    expect(ann.composer).to_be_focused()
    expect(ann.composer).to_have_value("teh first")
    ann.composer.fill("the **first**")
    ann.composer.press("Enter")
    for person in (ann, bob):
        expect(person.message("the first").locator("strong")).to_have_text("first")
        expect(person.message("the first")).to_contain_text("(edited)")
        expect(person.messages).to_have_count(1)
    expect(ann.page.get_by_test_id("editing")).to_be_hidden()
    expect(ann.composer).to_have_value("a draft that has to wait")
    tool(bob, "the first", "React: Heart").wait_for()
    expect(bob.page.get_by_test_id("edit")).to_be_hidden()
    expect(bob.page.get_by_test_id("delete")).to_be_hidden()
    bob.page.reload()
    expect(bob.message("the first")).to_contain_text("(edited)")


def test_arrow_up_edits_the_last_one_and_escape_gives_the_draft_back(room: str, come_in: ComeIn) -> None:
    ann, bob = come_in(room), come_in(room)
    ann.say("mine")
    expect(bob.sent("mine")).to_have_count(1)
    bob.say("his")
    expect(ann.sent("his")).to_have_count(1)
    ann.composer.press("ArrowUp")
    expect(ann.composer).to_have_value("mine")
    ann.composer.fill("changed my mind")
    ann.composer.press("Escape")
    expect(ann.composer).to_have_value("")
    expect(ann.page.get_by_test_id("editing")).to_be_hidden()
    expect(ann.sent("mine")).to_have_count(1)
    ann.composer.press("ArrowUp")
    ann.composer.press("End")
    ann.composer.press_sequentially(", twice")
    ann.composer.press("Enter")
    expect(bob.sent("mine, twice")).to_have_count(1)


def test_a_deletion_asks_first(room: str, come_in: ComeIn) -> None:
    ann, bob = come_in(room), come_in(room)
    ann.say("said in anger")
    for person in (ann, bob):
        expect(person.sent("said in anger")).to_have_count(1)
    dialog = ann.page.get_by_role("dialog", name="Delete this message?")
    tool(ann, "said in anger", "Delete").click()
    expect(dialog).to_contain_text("said in anger")
    dialog.get_by_role("button", name="Keep it").click()
    expect(dialog).to_be_hidden()
    expect(bob.sent("said in anger")).to_have_count(1)
    tool(ann, "said in anger", "Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    for person in (ann, bob):
        expect(person.message("Message deleted")).to_have_count(1)
        expect(person.message("said in anger")).to_have_count(0)
    bob.page.reload()
    expect(bob.message("Message deleted")).to_have_count(1)
    bob.message("Message deleted").hover()
    expect(bob.page.get_by_test_id("tools")).to_have_count(0)


def test_reactions_are_counted_and_go_again(room: str, come_in: ComeIn) -> None:
    ann, bob = come_in(room), come_in(room)
    ann.say("shipped")
    expect(bob.sent("shipped")).to_have_count(1)
    tool(bob, "shipped", "React: Celebrate").click()
    expect(reaction(bob, "shipped", "🎉")).to_have_attribute("aria-pressed", "true")
    expect(reaction(ann, "shipped", "🎉")).to_have_attribute("aria-pressed", "false")
    reaction(ann, "shipped", "🎉").click()
    for person in (ann, bob):
        expect(reaction(person, "shipped", "🎉")).to_have_text(re.compile(r"🎉\s*2"))
    bob.page.reload()
    expect(reaction(bob, "shipped", "🎉")).to_have_attribute("aria-pressed", "true")
    reaction(bob, "shipped", "🎉").click()
    expect(reaction(ann, "shipped", "🎉")).to_have_text(re.compile(r"🎉\s*1"))
    expect(reaction(bob, "shipped", "🎉")).to_have_attribute("aria-pressed", "false")
    reaction(ann, "shipped", "🎉").click()
    expect(reaction(bob, "shipped", "🎉")).to_have_count(0)


def test_everything_without_a_mouse(room: str, come_in: ComeIn) -> None:
    ann = come_in(room)
    ann.say("typed")
    expect(ann.sent("typed")).to_have_count(1)
    ann.timeline.focus()
    ann.page.keyboard.press("ArrowUp")
    expect(ann.message("typed")).to_be_focused()
    ann.page.keyboard.press("Tab")
    expect(ann.page.get_by_role("button", name="React: Thumbs up")).to_be_focused()
    ann.page.keyboard.press("Enter")
    expect(reaction(ann, "typed", "👍")).to_have_attribute("aria-pressed", "true")
    expect(ann.page.get_by_role("button", name="React: Thumbs up")).to_be_focused()
    ann.page.keyboard.press("ArrowLeft")
    expect(ann.page.get_by_test_id("delete")).to_be_focused()
    ann.page.keyboard.press("Enter")
    expect(ann.page.get_by_role("dialog", name="Delete this message?")).to_be_visible()
    ann.page.keyboard.press("Escape")
    ann.page.keyboard.press("ArrowLeft")
    ann.page.keyboard.press("Enter")
    expect(ann.composer).to_have_value("typed")


def test_what_was_changed_while_away_shows_without_a_reload(own_server: Server, come_in: ComeIn) -> None:
    ann, bob = come_in("lobby", server=own_server), come_in("lobby", server=own_server)
    for text in ("to be edited", "to be deleted", "to be liked"):
        ann.say(text)
        for person in (ann, bob):
            expect(person.sent(text)).to_have_count(1)
    born = bob.born()
    own_server.kill()
    ann.page.locator("#banner").filter(has_text="Connection lost").wait_for()
    tool(ann, "to be edited", "Edit").click()
    ann.composer.fill("edited from the train")
    ann.composer.press("Enter")
    expect(ann.message("edited from the train")).to_contain_text("will go out when the connection returns")
    tool(ann, "to be deleted", "Delete").click()
    ann.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    tool(ann, "to be liked", "React: Heart").click()
    expect(reaction(ann, "to be liked", "❤️")).to_have_attribute("aria-pressed", "true")
    own_server.start()
    for person in (ann, bob):
        expect(person.sent("edited from the train")).to_have_count(1, timeout=BACK)
        expect(person.message("Message deleted")).to_have_count(1, timeout=BACK)
        expect(reaction(person, "to be liked", "❤️")).to_have_count(1, timeout=BACK)
    assert bob.born() == born
    expect(ann.message("edited from the train")).not_to_contain_text("will go out")


def test_tools_under_a_thumb(room: str, come_in: ComeIn) -> None:
    ann = come_in(room, viewport=NARROW, has_touch=True, is_mobile=True)
    ann.say("on the phone")
    expect(ann.sent("on the phone")).to_have_count(1)
    ann.message("on the phone").tap()
    ann.page.get_by_role("button", name="React: Heart").tap()
    expect(reaction(ann, "on the phone", "❤️")).to_have_count(1)
    assert too_small(ann.timeline.locator("button:visible")) == []
    expect(ann.timeline.locator(".tools")).to_be_in_viewport(ratio=1)
    ann.page.get_by_test_id("edit").tap()
    expect(ann.composer).to_have_value("on the phone")
    ann.page.get_by_role("button", name="Cancel").tap()
    expect(ann.composer).to_have_value("")
    ann.message("on the phone").tap()
    expect(ann.timeline.locator(".tools")).to_be_visible()
    ann.composer.tap()
    expect(ann.timeline.locator(".tools")).to_have_count(0)
    assert ann.page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


@pytest.mark.parametrize("text", ["<img src=x onerror=window.__xss=1>", "[x](javascript:window.__xss=1)"])
def test_no_script_comes_in_by_an_edit(room: str, come_in: ComeIn, text: str) -> None:
    ann, bob = come_in(room), come_in(room)
    ann.say("harmless")
    for person in (ann, bob):
        expect(person.sent("harmless")).to_have_count(1)
    ann.composer.press("ArrowUp")
    ann.composer.fill(text)
    ann.composer.press("Enter")
    for person in (ann, bob):
        expect(person.sent("(edited)")).to_have_count(1)
        expect(person.messages.locator("img, script, a[href^=javascript]")).to_have_count(0)
        assert person.page.evaluate("window.__xss") is None
