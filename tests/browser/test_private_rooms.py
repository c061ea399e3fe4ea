"""A room among few: made, shared by a link, and left against one's will."""

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.people import Person
from tests.helpers import Server, unique

ComeIn = Callable[..., Person]


def make_private(person: Person, name: str) -> str:
    """Through the dialog; the new room's slug."""
    person.page.get_by_role("button", name="New room", exact=True).click()
    dialog = person.page.get_by_role("dialog", name="New room")
    dialog.get_by_label("Name").fill(name)
    expect(dialog).to_contain_text("Everybody here can find it")
    dialog.get_by_label("Private").check()
    expect(dialog).to_contain_text("Only those you invite can see it")
    dialog.get_by_role("button", name="Create the room").click()
    expect(person.composer).to_be_visible()
    return person.page.url.rstrip("/").rpartition("/")[2]


def open_members(person: Person) -> None:
    person.page.get_by_role("button", name="About this room").click()
    person.page.get_by_role("button", name="Members and invitations").click()
    expect(person.page.get_by_test_id("member").first).to_be_visible()


def test_a_private_room_is_shared_by_a_link_and_vanishes_for_who_is_removed(
    server: Server, room: str, come_in: ComeIn
) -> None:
    ann, bob, eve = come_in(room), come_in(room), come_in(room)
    name = unique("founders")
    slug = make_private(ann, name)
    expect(ann.room_link(slug)).to_contain_text("Private:")
    ann.say("the plan")
    expect(ann.sent("the plan")).to_have_count(1)
    for outsider in (bob, eve):
        outsider.page.reload()
        expect(outsider.composer).to_be_visible()
        expect(outsider.room_link(slug)).to_have_count(0)

    open_members(ann)
    ann.page.get_by_role("button", name="Make a link").click()
    link = ann.page.get_by_test_id("invite-link")
    expect(link).to_have_value(re.compile(r"/invitations/[-\w]{43}/$"))
    bob.page.goto(link.input_value())
    expect(bob.page.get_by_role("heading", name=f"Join {name}")).to_be_visible()
    bob.page.get_by_role("button", name="Join the room").click()
    expect(bob.sent("the plan")).to_have_count(1)
    bob.say("I am in")
    expect(bob.sent("I am in")).to_have_count(1)

    born = bob.born()
    member = ann.page.get_by_test_id("member").filter(has_text=bob.name)  # came while the dialog was open
    member.get_by_role("button").click()
    member.get_by_role("button", name="Yes, remove").click()
    expect(bob.page.get_by_role("heading", name="There is no such room")).to_be_visible()
    expect(bob.room_link(slug)).to_have_count(0)
    assert bob.born() == born
    expect(member).to_have_count(0)
    expect(ann.page.get_by_role("list", name="Members")).to_be_focused()  # the button that was pressed has gone
    ann.page.keyboard.press("Escape")
    expect(ann.sent("I am in")).to_have_count(1)
    ann.say("only us again")
    expect(ann.sent("only us again")).to_have_count(1)
    expect(bob.message("only us again")).to_have_count(0)
    bob.page.goto(f"/rooms/{slug}/")
    expect(bob.page.get_by_role("heading", name="There is no such room")).to_have_count(0)
    expect(bob.composer).to_have_count(0)


def test_a_session_that_ends_leads_to_the_entrance_and_a_fine_one_is_left_alone(
    server: Server, room: str, come_in: ComeIn
) -> None:
    ann, bob = come_in(room), come_in(room)
    born = bob.born()
    server.python(f"""
        from chat.models import User
        user = User.objects.get(name={ann.name!r})
        user.is_active = False
        user.save()
    """)
    expect(ann.page).to_have_url(re.compile("/accounts/guest/"), timeout=15_000)
    bob.say("still here")
    expect(bob.sent("still here")).to_have_count(1)
    assert bob.born() == born


def test_a_page_whose_socket_alone_is_refused_is_not_loaded_again_and_again(room: str, come_in: ComeIn) -> None:
    """As when something on the way keeps the cookie from the WebSocket: HTTP knows who it is."""
    ann = come_in(room)
    ann.page.route_web_socket(re.compile("/ws/chat/"), lambda socket: socket.close(code=4401))
    ann.page.reload()
    born = ann.born()
    ann.page.wait_for_timeout(4_000)
    assert ann.born() == born
    expect(ann.banner).to_contain_text("Your messages are kept")
