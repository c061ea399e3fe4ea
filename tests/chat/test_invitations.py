"""Links into rooms, and the way out: who may make them, what they show, when they are worth nothing."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from chat import invitations, rooms
from chat.models import Invitation, Membership, Room, User
from tests.chat.people import logged_in

pytestmark = pytest.mark.django_db

UNKNOWN = "x" * 43


@pytest.fixture
def founders(ann: User) -> Room:
    return rooms.create(ann.pk, "Founders", "Hush", "founders-0123456789ab", is_private=True)


def link(maker: User, room: Room) -> str:
    """The path of a new link."""
    made = logged_in(maker).post(f"/api/rooms/{room.slug}/invitations/")
    assert made.status_code == 200, made.content
    url: str = made.json()["url"]
    return url.removeprefix("http://testserver")


def members(room: Room) -> set[str]:
    return set(room.members.values_list("name", flat=True))


def shown(answer: Any) -> tuple[int, str]:
    """A page without what is made for each visit."""
    return answer.status_code, re.sub(r'nonce="[^"]*"', "", answer.content.decode())


# Making and using -----------------------------------------------------------------------------------------------


def test_a_link_shows_the_room_and_a_button_and_the_button_joins(ann: User, bob: User, founders: Room) -> None:
    path = link(ann, founders)
    page = logged_in(bob).get(path)
    assert (page.status_code, page["Cache-Control"]) == (200, "no-store")
    text = page.content.decode()
    assert "Founders" in text
    assert "Join the room" in text
    assert members(founders) == {"Ann"}  # looking joins nobody
    assert logged_in(bob).post(path)["Location"] == "/rooms/founders-0123456789ab/"
    assert members(founders) == {"Ann", "Bob"}
    assert logged_in(bob).get(path)["Location"] == "/rooms/founders-0123456789ab/"
    assert logged_in(bob).get("/rooms/founders-0123456789ab/").status_code == 200


def test_a_guest_comes_in_through_a_link(ann: User, founders: Room) -> None:
    path = link(ann, founders)
    browser = Client()
    page = browser.get(path)
    assert f'href="/accounts/guest/?next={path}"' in page.content.decode()
    assert browser.post(path)["Location"] == f"/accounts/guest/?next={path}"
    assert browser.post("/accounts/guest/", {"name": "Cleo", "next": path})["Location"] == path
    assert browser.post(path)["Location"] == "/rooms/founders-0123456789ab/"
    assert members(founders) == {"Ann", "Cleo"}


def test_the_token_is_long_and_only_its_hash_is_kept(ann: User, founders: Room) -> None:
    token = link(ann, founders).strip("/").rpartition("/")[2]
    assert len(token) >= 43  # 32 bytes
    kept = Invitation.objects.get()
    assert token not in [str(value) for value in vars(kept).values()]
    assert timedelta(days=6, hours=23) < kept.expires_at - timezone.now() <= timedelta(days=7)


def test_every_member_makes_links_and_nobody_else(ann: User, bob: User, founders: Room) -> None:
    eve = User.objects.create_user("Eve")
    logged_in(bob).post(link(ann, founders))
    link(bob, founders)
    refused = logged_in(eve).post(f"/api/rooms/{founders.slug}/invitations/")
    nothing = logged_in(eve).post("/api/rooms/founders-000000000000/invitations/")
    assert shown(refused) == shown(nothing)
    assert refused.json() == {"error": {"code": "not_found", "detail": "There is no such room."}}
    assert Client().post(f"/api/rooms/{founders.slug}/invitations/").status_code == 401


def test_a_room_has_a_limited_number_of_links(ann: User, founders: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MOST", 2)
    link(ann, founders), link(ann, founders)
    refused = logged_in(ann).post(f"/api/rooms/{founders.slug}/invitations/")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many")
    Invitation.objects.update(expires_at=timezone.now())
    link(ann, founders)
    assert Invitation.objects.count() == 1


# Worth nothing --------------------------------------------------------------------------------------------------


def test_expired_ended_and_unknown_links_are_the_same_page(ann: User, bob: User, founders: Room) -> None:
    for browser in (logged_in(bob), Client()):
        expired, ended = link(ann, founders), link(ann, founders)
        first, second = Invitation.objects.order_by("pk")
        Invitation.objects.filter(pk=first.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
        logged_in(ann).post(f"/api/rooms/{founders.slug}/invitations/{second.pk}/end/")
        for ask in (browser.get, browser.post):
            pages = {shown(ask(path)) for path in (expired, ended, f"/invitations/{UNKNOWN}/", "/invitations/x/")}
            [(status, text)] = pages
            assert status == 404
            assert "Nothing moored here" in text
        Invitation.objects.all().delete()
    assert members(founders) == {"Ann"}


def test_a_link_is_ended_by_who_made_it_or_the_room(ann: User, bob: User, founders: Room) -> None:
    logged_in(bob).post(link(ann, founders))
    cleo = User.objects.create_user("Cleo")
    logged_in(cleo).post(link(ann, founders))
    link(bob, founders)
    number = Invitation.objects.latest("pk").pk
    end = f"/api/rooms/{founders.slug}/invitations/{number}/end/"
    assert logged_in(cleo).post(end).status_code == 403
    assert logged_in(User.objects.create_user("Eve")).post(end).status_code == 404
    assert logged_in(bob).post(end).status_code == 200
    assert logged_in(bob).post(end).status_code == 200  # twice is no harm
    assert not Invitation.objects.filter(pk=number).exists()
    link(bob, founders)
    number = Invitation.objects.latest("pk").pk
    assert logged_in(ann).post(f"/api/rooms/{founders.slug}/invitations/{number}/end/").status_code == 200
    assert logged_in(ann).post(f"/api/rooms/{founders.slug}/invitations/{'9' * 18}/end/").status_code == 200
    assert logged_in(ann).post(f"/api/rooms/{founders.slug}/invitations/{'9' * 30}/end/").status_code == 404


# Members and removal --------------------------------------------------------------------------------------------


def test_members_see_who_is_in_and_which_links_lead_in(ann: User, bob: User, founders: Room) -> None:
    logged_in(bob).post(link(ann, founders))
    path = f"/api/rooms/{founders.slug}/members/"
    answer = logged_in(ann).get(path)
    assert answer["Cache-Control"] == "no-store"
    listed = answer.json()
    assert listed["count"] == 2
    assert listed["members"] == [
        {"id": ann.pk, "name": "Ann", "online": False, "made_it": True, "removable": False},
        {"id": bob.pk, "name": "Bob", "online": False, "made_it": False, "removable": True},
    ]
    [one] = listed["invitations"]
    assert set(one) == {"id", "by", "expires_at", "endable"}
    assert (one["by"], one["endable"]) == ("Ann", True)
    seen_by_bob = logged_in(bob).get(path).json()
    assert not any(each["removable"] for each in seen_by_bob["members"])
    assert not seen_by_bob["invitations"][0]["endable"]
    eve = logged_in(User.objects.create_user("Eve"))
    assert shown(eve.get(path)) == shown(eve.get("/api/rooms/founders-000000000000/members/"))
    assert eve.get(path).status_code == 404


def test_only_who_made_the_room_removes_and_every_link_ends_with_it(ann: User, bob: User, founders: Room) -> None:
    came_by = link(ann, founders)
    logged_in(bob).post(came_by)
    own = link(bob, founders)
    path = f"/api/rooms/{founders.slug}/members/{{}}/remove/"
    assert logged_in(bob).post(path.format(ann.pk)).status_code == 403
    assert logged_in(bob).post(path.format(bob.pk)).status_code == 403
    assert logged_in(ann).post(path.format(ann.pk)).status_code == 403
    assert logged_in(User.objects.create_user("Eve")).post(path.format(bob.pk)).status_code == 404
    assert members(founders) == {"Ann", "Bob"}
    assert logged_in(ann).post(path.format(bob.pk)).json() == {"removed": True}
    assert logged_in(ann).post(path.format(bob.pk)).json() == {"removed": False}
    assert logged_in(ann).post(path.format("9" * 18)).json() == {"removed": False}
    assert members(founders) == {"Ann"}
    for known in (came_by, own):
        assert logged_in(bob).post(known).status_code == 404
    logged_in(bob).post(link(ann, founders))  # unless they are invited again
    assert members(founders) == {"Ann", "Bob"}


def test_nobody_is_removed_from_a_public_room(ann: User, bob: User) -> None:
    rooms.create(ann.pk, "Lobby", "", "lobby")
    rooms.join(bob.pk, "lobby")
    assert logged_in(ann).post(f"/api/rooms/lobby/members/{bob.pk}/remove/").status_code == 403
    assert Membership.objects.filter(user=bob).exists()


def test_who_leaves_a_private_room_is_outside(bob: User, ann: User, founders: Room) -> None:
    logged_in(bob).post(link(ann, founders))
    assert logged_in(bob).post(f"/rooms/{founders.slug}/leave/")["Location"] == "/"
    assert logged_in(bob).get(f"/rooms/{founders.slug}/").status_code == 404
    assert logged_in(bob).post(f"/rooms/{founders.slug}/leave/").status_code == 404


def test_what_changes_something_is_posted(ann: User, founders: Room) -> None:
    for path in ("invitations/", "invitations/1/end/", "members/1/remove/"):
        assert logged_in(ann).get(f"/api/rooms/{founders.slug}/{path}").status_code == 405
    assert logged_in(ann).post(f"/api/rooms/{founders.slug}/members/").status_code == 405
