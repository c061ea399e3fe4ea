"""A slow network, another tab, another person at the browser: the page does what its reader means."""

import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.conftest import fill
from tests.browser.people import Person
from tests.helpers import Server, cookies, create_room, guest, unique

ComeIn = Callable[..., Person]

BACK = 45_000  # ms: waits between attempts to connect grow while the server is away
KEEP = """
    ([room, id, text, age]) => {
        const { me } = JSON.parse(document.getElementById("boot").textContent);
        const created_at = new Date(Date.now() - age).toISOString();
        localStorage.setItem(`harbour.post.${me.id}.${id}`, JSON.stringify({ id, room, text, created_at }));
    }
"""


def hold(page: Page, address: str) -> list[Route]:
    """The POSTs to an address that wait to be let on."""
    held: list[Route] = []
    page.route(address, lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    return held


def until(page: Page, fits: Callable[[], bool]) -> None:
    for _ in range(400):
        if fits():
            return
        page.wait_for_timeout(25)
    raise AssertionError("not within ten seconds")


def test_a_second_click_does_not_send_a_form_again(server: Server, new_context: Callable[..., BrowserContext]) -> None:
    page = new_context(base_url=server.url).new_page()
    held = hold(page, "**/accounts/guest/")
    page.goto("/accounts/guest/")
    name = unique("ann")
    page.get_by_label("Your name").fill(name)
    box = page.get_by_role("button", name="Come in").bounding_box()
    assert box
    for _ in range(3):
        page.mouse.click(box["x"] + 9, box["y"] + 9)
        page.wait_for_timeout(100)
    until(page, lambda: bool(held))
    assert len(held) == 1
    held[0].continue_()
    expect(page.locator(".me-name")).to_have_text(name)


def test_who_has_gone_elsewhere_while_a_room_is_joined_stays_there(server: Server, room: str, come_in: ComeIn) -> None:
    ann = come_in(room)
    ann.say("I am here")
    expect(ann.sent("I am here")).to_have_count(1)
    other = create_room(server, guest(server, unique("host")))
    ann.page.goto(f"/rooms/{other}/")
    held = hold(ann.page, f"**/rooms/{other}/join/")
    ann.page.get_by_role("button", name="Join", exact=True).click()
    until(ann.page, lambda: bool(held))
    ann.room_link(room).click()
    expect(ann.sent("I am here")).to_have_count(1)
    ann.composer.fill("for this room alone")
    held[0].continue_()
    expect(ann.page.locator("[data-testid=room-link]", has_text=other)).to_have_count(1)  # joined
    assert ann.page.url.endswith(f"/rooms/{room}/")
    expect(ann.composer).to_have_value("for this room alone")
    ann.composer.press("Enter")
    expect(ann.sent("for this room alone")).to_have_count(1)


def test_a_browser_that_has_changed_hands_shows_the_new_persons_page(own_server: Server, come_in: ComeIn) -> None:
    ann = come_in("lobby", server=own_server)
    name = unique("bob")
    theirs = cookies(guest(own_server, name))
    ann.page.context.add_cookies(
        [{"name": key, "value": value, "url": own_server.url} for key, value in theirs.items()]
    )
    own_server.restart()
    expect(ann.page.locator(".me-name")).to_have_text(name, timeout=BACK)
    ann.say("now I am somebody else")
    expect(ann.sent("now I am somebody else")).to_contain_text(name)


def test_a_post_that_was_stored_long_ago_is_not_said_again(server: Server, room: str, come_in: ComeIn) -> None:
    """Its ack was lost, and it has left the newest page: sent again, it is acknowledged with its old offset."""
    ann = come_in(room)
    ann.say("long ago")
    expect(ann.sent("long ago")).to_have_count(1)
    id = ann.message("long ago").get_attribute("data-client-id")
    fill(server, room, 60)
    ann.page.evaluate(KEEP, [room, id, "long ago", 1_000])
    ann.page.reload()
    expect(ann.sent("message 60")).to_have_count(1)
    expect(ann.message("long ago")).to_have_count(0)
    assert ann.page.evaluate(f"Object.keys(localStorage).filter((key) => key.includes({json.dumps(id)}))") == []


def test_what_a_closed_tab_has_left_behind_is_sent_by_another(room: str, come_in: ComeIn) -> None:
    ann, bob = come_in(room), come_in(room)
    expect(ann.banner).to_be_empty()
    ann.page.evaluate(KEEP, [room, unique("left"), "left behind", 20_000])
    expect(bob.sent("left behind")).to_have_count(1)
    expect(ann.sent("left behind")).to_have_count(1)


def test_connected_again_goes_also_when_the_network_says_so_late(own_server: Server, come_in: ComeIn) -> None:
    ann = come_in("lobby", server=own_server)
    expect(ann.banner).to_be_empty()
    ann.page.evaluate("""
        const banner = document.getElementById("banner");
        new MutationObserver(() => {
            if (banner.textContent.includes("Connected again")) dispatchEvent(new Event("online"));
        }).observe(banner, { childList: true, subtree: true });
    """)
    own_server.kill()
    button = ann.banner.get_by_role("button", name="Try now")
    expect(button).to_be_visible()
    button.focus()
    own_server.start()
    expect(ann.banner).to_contain_text("Connected again.", timeout=BACK)
    expect(ann.page.locator("main")).to_be_focused()  # the button that had the focus has gone
    expect(ann.banner).to_be_empty()


def test_a_draft_is_kept_where_nothing_can_be_stored(server: Server, room: str, come_in: ComeIn) -> None:
    ann = come_in(room)
    ann.say("mine")
    expect(ann.sent("mine")).to_have_count(1)
    ann.page.add_init_script("Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); };")
    ann.page.reload()
    ann.composer.fill("half a thought")
    ann.room_link("lobby").click()
    expect(ann.composer).to_have_value("")
    ann.room_link(room).click()
    expect(ann.composer).to_have_value("half a thought")


def test_the_skip_link_keeps_what_is_being_edited(room: str, come_in: ComeIn) -> None:
    ann = come_in(room)
    ann.say("mine")
    expect(ann.sent("mine")).to_have_count(1)
    ann.composer.press("ArrowUp")
    ann.composer.fill("mine, changed")
    ann.page.locator(".skip").focus()
    ann.page.keyboard.press("Enter")
    expect(ann.composer).to_be_focused()
    expect(ann.composer).to_have_value("mine, changed")
    expect(ann.page.get_by_test_id("editing")).to_be_visible()


def test_what_waits_since_yesterday_has_a_heading_of_its_own(server: Server, room: str, come_in: ComeIn) -> None:
    ann = come_in(room)
    for text in ("said yesterday", "said today"):
        ann.say(text)
        expect(ann.sent(text)).to_have_count(1)
    server.python("""
        from datetime import timedelta
        from django.db.models import F
        from chat.models import Message
        Message.objects.filter(text="said yesterday").update(created_at=F("created_at") - timedelta(days=1))
    """)
    ann.page.route_web_socket("**/ws/chat/**", lambda socket: socket.close())
    ann.page.evaluate(KEEP, [room, unique("waits"), "waits since yesterday", 86_400_000])
    ann.page.reload()
    expect(ann.message("waits since yesterday")).to_have_count(1)
    expect(ann.message("said yesterday")).to_have_count(1)
    rows = ann.timeline.locator("li").all_inner_texts()
    headings = [text.strip() for text in rows if text.strip() in ("Yesterday", "Today")]
    assert headings == ["Yesterday", "Today", "Yesterday"]


# What the page believes, without a page around it.
BELIEVES = """
    async () => {
        const { Rooms } = await import("harbour/rooms");
        const me = { id: 1 };
        const listed = { slug: "r", name: "r", member: true, members: 2 };
        const rooms = new Rooms(me, [{ ...listed, head: 50, read: 50, unread: 0 }]);
        const room = rooms.get("r");
        room.epoch = "before";
        let asked = 0;
        rooms.addEventListener("uncertain", () => (asked += 1));
        rooms.restarted(room, { head: 30, epoch: "after" });
        rooms.update([{ ...listed, head: 31, read: 20, unread: 11 }]);
        const restored = room.unread;
        rooms.apply({ type: "message.deleted", room: "r", offset: 31, message: { id: 7 } });
        const known = asked;
        rooms.apply({ type: "message.deleted", room: "r", offset: 32, message: { id: 8 } });
        return [restored, known, asked];
    }
"""


def test_what_is_unread_is_right_after_a_restored_backup_and_a_deletion_in_a_room_that_is_not_open(
    room: str, come_in: ComeIn
) -> None:
    found: Any = come_in(room).page.evaluate(BELIEVES)
    assert found == [11, 0, 1]
