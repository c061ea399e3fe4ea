"""What people do all day: write, read, and see each other do it."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.people import Person, end_compositions
from tests.helpers import Server, create_room, guest, unique

ComeIn = Callable[..., Person]


def test_a_guest_picks_a_name_and_says_something(server: Server, page: Page) -> None:
    name = unique("newcomer")
    page.goto(f"{server.url}/rooms/lobby/")
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Come in").click()
    expect(page).to_have_url(f"{server.url}/rooms/lobby/")
    page.get_by_test_id("composer").fill(f"Hello from {name}")
    page.get_by_test_id("send").click()
    said = page.get_by_test_id("message").filter(has_text=f"Hello from {name}")
    expect(said).to_have_attribute("data-state", "sent")
    expect(said).to_contain_text(name)


def test_two_people_exchange_messages_and_a_third_finds_them(room: str, come_in: ComeIn) -> None:
    ann, bob = come_in(room), come_in(room)
    ann.say("Is anybody here?")
    expect(bob.sent("Is anybody here?")).to_have_count(1)
    bob.say("I am.")
    for person in (ann, bob):
        expect(person.sent("I am.")).to_have_count(1)
    expect(ann.sent("Is anybody here?")).to_have_count(1)

    cleo = come_in(room)
    expect(cleo.sent("Is anybody here?")).to_contain_text(ann.name)
    expect(cleo.sent("I am.")).to_contain_text(bob.name)
    assert cleo.offsets() == bob.offsets() == ann.offsets() == sorted(ann.offsets())


def test_one_sees_that_somebody_is_typing(room: str, come_in: ComeIn) -> None:
    ann, bob = come_in(room), come_in(room)
    expect(ann.banner).to_be_empty()
    bob.say("first")
    expect(ann.sent("first")).to_have_count(1)
    bob.composer.press_sequentially("Let me think about it", delay=200)  # ms a key, as people type
    expect(ann.page.get_by_test_id("typing")).to_have_text(f"{bob.name} is typing…")
    bob.composer.press("Enter")
    expect(ann.page.get_by_test_id("typing")).to_be_empty()


def test_what_is_said_elsewhere_is_counted(server: Server, room: str, come_in: ComeIn) -> None:
    elsewhere = create_room(server, guest(server))
    ann, bob = come_in(room), come_in(elsewhere)
    bob.say("I am here as well")
    expect(bob.sent("I am here as well")).to_have_count(1)
    ann.say("hello")
    bob.page.goto(f"/rooms/{room}/")
    expect(bob.sent("hello")).to_have_count(1)

    cleo = come_in(elsewhere)
    for text in ("news one", "news two"):
        cleo.say(text)
    unread = bob.room_link(elsewhere).get_by_test_id("unread")
    expect(unread).to_have_text("2 unread")
    bob.room_link(elsewhere).click()
    expect(bob.sent("news two")).to_have_count(1)
    expect(unread).to_be_hidden()


def test_enter_sends_and_shift_enter_is_a_new_line(room: str, come_in: ComeIn) -> None:
    ann = come_in(room)
    ann.composer.press_sequentially("first line")
    ann.composer.press("Shift+Enter")
    ann.composer.press_sequentially("second line")
    expect(ann.composer).to_have_value("first line\nsecond line")
    expect(ann.messages).to_have_count(0)
    ann.composer.press("Enter")
    expect(ann.sent("second line")).to_contain_text("first line")
    expect(ann.messages).to_have_count(1)
    expect(ann.composer).to_have_value("")


def test_the_enter_that_ends_a_composition_sends_nothing(room: str, come_in: ComeIn) -> None:
    ann = come_in(room)
    ann.composer.fill("にほん")
    end_compositions(ann.composer)
    expect(ann.composer).to_have_value("にほん")
    expect(ann.messages).to_have_count(0)
    ann.composer.press("Enter")
    expect(ann.sent("にほん")).to_have_count(1)


def test_a_draft_waits_in_its_room(server: Server, room: str, come_in: ComeIn) -> None:
    ann = come_in(room)
    ann.say("I was here")
    ann.composer.fill("not finis")
    ann.room_link("lobby").click()
    expect(ann.page).to_have_url(f"{server.url}/rooms/lobby/")
    expect(ann.composer).to_have_value("")
    ann.room_link(room).click()
    expect(ann.composer).to_have_value("not finis")
    ann.page.reload()
    expect(ann.composer).to_have_value("not finis")
    ann.composer.press("Enter")
    expect(ann.sent("not finis")).to_have_count(1)
    ann.page.reload()
    expect(ann.sent("not finis")).to_have_count(1)
    expect(ann.composer).to_have_value("")
