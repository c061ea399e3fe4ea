"""Who is here: the number in the header and the dots among the members, as people come and go."""

from collections.abc import Callable

from playwright.sync_api import Locator, expect

from tests.browser.people import Person
from tests.browser.screens import NARROW, measured
from tests.helpers import Server

ComeIn = Callable[..., Person]


def online(person: Person) -> Locator:
    return person.page.get_by_test_id("online")


def open_members(person: Person) -> None:
    person.page.get_by_role("button", name="About this room").click()
    person.page.get_by_role("button", name="Members", exact=True).click()
    expect(person.page.get_by_test_id("member").first).to_be_visible()


def member(person: Person, name: str) -> Locator:
    return person.page.get_by_test_id("member").filter(has_text=name)


def test_two_people_see_each_other_come_and_go(room: str, come_in: ComeIn) -> None:
    ann = come_in(room)
    ann.say("first")  # which makes one a member
    expect(online(ann)).to_have_text("1 online")
    bob = come_in(room)
    expect(online(bob)).to_have_text("1 online")
    bob.say("second")
    for each in (ann, bob):
        expect(online(each)).to_have_text("2 online")

    open_members(ann)
    expect(ann.page.get_by_role("dialog")).to_contain_text("3 people are in this room, 2 online.")
    expect(member(ann, bob.name)).to_contain_text("online")
    expect(member(ann, ann.name)).to_contain_text("online")
    expect(member(ann, "host-")).not_to_contain_text("online")

    tab = bob.page.context.new_page()
    tab.goto(bob.page.url)
    expect(tab.get_by_test_id("online")).to_have_text("2 online")
    bob.page.close()  # one of two tabs
    ann.page.wait_for_timeout(3_000)
    expect(online(ann)).to_have_text("2 online")
    expect(member(ann, bob.name)).to_contain_text("online")

    tab.close()
    expect(online(ann)).to_have_text("1 online")
    expect(member(ann, bob.name)).not_to_contain_text("online")
    expect(ann.page.get_by_role("dialog")).to_contain_text("3 people are in this room, 1 online.")


def test_the_number_is_right_again_after_the_server_was_killed(own_server: Server, come_in: ComeIn) -> None:
    ann, bob = come_in("lobby", server=own_server), come_in("lobby", server=own_server)
    for each in (ann, bob):
        each.say(f"I am {each.name}")
    expect(online(ann)).to_have_text("2 online")
    own_server.kill()
    bob.page.close()
    own_server.start()
    expect(online(ann)).to_have_text("1 online", timeout=30_000)


def test_on_a_phone_the_number_is_there_and_the_word_is_heard(room: str, come_in: ComeIn) -> None:
    ann = come_in(room, viewport=NARROW, has_touch=True)
    ann.say("hello")
    expect(online(ann)).to_have_text("1 online")
    expect(online(ann)).to_be_visible()
    width, right = measured(online(ann))
    assert 0 < width < 40
    assert right <= NARROW["width"]
