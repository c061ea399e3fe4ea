"""The pages and the JSON of the chat, as a browser asks for them."""

import html
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import override_script_prefix
from django.urls import reverse
from django.utils import timezone

from chat import rooms
from chat.models import Membership, Room, User
from tests.chat.people import logged_in

pytestmark = pytest.mark.django_db

GUEST = "/accounts/guest/"


@pytest.fixture
def client(ann: User) -> Client:
    """Ann's browser."""
    return logged_in(ann)


@pytest.fixture
def lobby(ann: User) -> Room:
    return rooms.create(ann.pk, "Lobby", "All the rest", "lobby")


def say(author: User, *texts: str, room: str = "lobby") -> None:
    with transaction.atomic():
        rooms.post([rooms.Post(author.pk, room, f"c-{text}", text) for text in texts])


def boot(response: Any) -> dict[str, Any]:
    """What the page's script is given."""
    found = re.search(r'<script id="boot" type="application/json">(.*?)</script>', response.content.decode(), re.S)
    assert found
    booted: dict[str, Any] = json.loads(found[1])
    return booted


# The pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["403.html", "403_csrf.html", "404.html", "500.html"])
def test_a_page_of_an_error_leads_home_under_any_prefix(name: str) -> None:
    with override_script_prefix("/harbour/"):
        links = set(re.findall(r'<a [^>]*href="(.*?)"', render_to_string(name)))
    assert links == {"/harbour/"}


def test_the_names_of_the_pages_stand_in_the_root_namespace() -> None:
    assert [reverse(name) for name in ("home", "rooms_create", "guest", "signup", "login", "logout", "api_rooms")] == [
        "/",
        "/rooms/",
        GUEST,
        "/accounts/signup/",
        "/accounts/login/",
        "/accounts/logout/",
        "/api/rooms/",
    ]
    assert reverse("room", args=["lobby"]) == "/rooms/lobby/"
    assert reverse("room_join", args=["lobby"]) == "/rooms/lobby/join/"
    assert reverse("room_leave", args=["lobby"]) == "/rooms/lobby/leave/"
    assert reverse("api_messages", args=["lobby"]) == "/api/rooms/lobby/messages/"


def test_home_boots_with_who_one_is_and_the_rooms(client: Client, ann: User, lobby: Room) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page["Cache-Control"] == "no-store"
    assert "chat/app.html" in [template.name for template in page.templates]
    booted = boot(page)
    assert booted["me"] == {"id": ann.pk, "name": "Ann", "is_guest": False, "may_delete": False}
    assert booted["room"] is None
    assert booted["rooms"] == client.get("/api/rooms/").json()["rooms"]
    assert set(booted["rooms"][0]) == {
        "slug",
        "name",
        "description",
        "private",
        "mine",
        "member",
        "members",
        "head",
        "read",
        "unread",
    }


def test_a_room_s_page_boots_with_the_room(client: Client, lobby: Room) -> None:
    page = client.get("/rooms/lobby/")
    assert (page.status_code, page["Cache-Control"]) == (200, "no-store")
    assert boot(page)["room"] == "lobby"
    assert page.context["room"] == lobby


def test_a_public_room_is_shown_to_who_is_no_member(lobby: Room) -> None:
    page = logged_in(User.objects.create_user("Bob")).get("/rooms/lobby/")
    assert page.status_code == 200
    assert [room["member"] for room in boot(page)["rooms"]] == [False]


def test_a_room_may_be_named_in_any_script(client: Client, ann: User) -> None:
    rooms.create(ann.pk, "Größe 李雷", "", "größe-李雷")
    assert client.get(reverse("room", args=["größe-李雷"])).status_code == 200
    assert client.get("/api/rooms/größe-李雷/messages/").status_code == 200


@pytest.mark.parametrize("slug", ["nowhere", "%00", "a%20b", "..", "a%2Fb", "%ff", "x" * 5000, "'--", "%3Cscript%3E"])
def test_an_unknown_room_is_404(client: Client, lobby: Room, slug: str) -> None:
    assert client.get(f"/rooms/{slug}/").status_code == 404
    assert client.get(f"/api/rooms/{slug}/messages/").status_code == 404
    assert client.post(f"/rooms/{slug}/join/").status_code == 404
    assert client.post(f"/rooms/{slug}/leave/").status_code == 404


@pytest.mark.parametrize(
    ("method", "page", "after"),
    [
        ("get", "/", "/"),
        ("get", "/rooms/lobby/", "/rooms/lobby/"),
        ("get", "/rooms/nowhere/", "/rooms/nowhere/"),
        ("get", "/rooms/%C3%BC/", "/rooms/%25C3%25BC/"),
        ("post", "/rooms/", "/"),
        ("post", "/rooms/lobby/join/", "/rooms/lobby/"),
        ("post", "/rooms/lobby/leave/", "/rooms/lobby/"),
    ],
)
def test_who_has_no_session_is_asked_for_a_name_first(lobby: Room, method: str, page: str, after: str) -> None:
    asked = getattr(Client(), method)(page)
    assert (asked.status_code, asked["Location"]) == (302, f"{GUEST}?next={after}")
    assert asked["Cache-Control"] == "no-store"
    assert Membership.objects.count() == 1


def test_a_guest_comes_back_to_the_room_that_was_asked_for(lobby: Room) -> None:
    browser = Client()
    asked = browser.get("/rooms/lobby/", follow=True)
    entered = browser.post(GUEST, {"name": "Bob", "next": asked.context["next"]}, follow=True)
    assert boot(entered)["room"] == "lobby"


@pytest.mark.parametrize(
    "name", ["</script><script>alert(1)</script>", "<!--<script>", "\"><b>'&amp;", "{{ 7*7 }}{% x %}"]
)
def test_a_name_is_only_text_in_the_page(name: str) -> None:
    browser = Client()
    assert browser.post(GUEST, {"name": name}).status_code == 302
    person = User.objects.get()
    rooms.create(person.pk, name, name, "odd")
    page = browser.get("/rooms/odd/")
    booted = boot(page)
    assert booted["me"]["name"] == booted["rooms"][0]["name"] == booted["rooms"][0]["description"] == name
    text = page.content.decode()
    assert "alert(1)</script>" not in text
    assert "<!--<script" not in text
    assert html.escape(name) in text
    long = name * 9
    refused = browser.post("/rooms/", {"name": long, "description": long * 9}).content.decode()
    assert html.escape(long) in refused
    assert long == html.escape(long) or long not in refused


def test_the_pages_carry_a_strict_content_policy_and_the_administration_its_own(client: Client, ann: User) -> None:
    for page in ("/", GUEST, "/accounts/login/", "/api/rooms/"):
        policy = client.get(page, follow=True)["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
    admin = client.get("/admin/login/")["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-inline' 'unsafe-eval'" in admin
    assert "default-src 'none'" in admin
    assert "unsafe" not in client.get("/administration/")["Content-Security-Policy"]


@pytest.mark.parametrize("page", ["/", "/rooms/lobby/", "/api/rooms/", "/api/rooms/lobby/messages/"])
def test_pages_are_only_read_and_forms_are_only_posted(client: Client, lobby: Room, page: str) -> None:
    assert client.head(page).status_code == 200
    for method in (client.post, client.put, client.delete):
        assert method(page).status_code == 405
    for form in ("/rooms/", "/rooms/lobby/join/", "/rooms/lobby/leave/"):
        assert client.get(form).status_code == 405


# Rooms ----------------------------------------------------------------------------------------------------------


def test_a_room_is_created_with_its_creator_in_it(client: Client, ann: User) -> None:
    created = client.post("/rooms/", {"name": "  Book   Club ", "description": "One a month"})
    assert (created.status_code, created["Location"]) == (302, "/rooms/book-club/")
    room = Room.objects.get()
    assert (room.name, room.description, room.created_by) == ("Book Club", "One a month", ann)
    assert list(room.members.all()) == [ann]


def test_a_slug_that_is_taken_gets_a_number(client: Client) -> None:
    for _ in range(3):
        client.post("/rooms/", {"name": "Design"})
    client.post("/rooms/", {"name": "Design 2"})
    assert sorted(Room.objects.values_list("slug", flat=True)) == ["design", "design-2", "design-2-2", "design-3"]


def test_a_long_name_leaves_room_for_the_number(client: Client) -> None:
    for _ in range(12):
        assert client.post("/rooms/", {"name": "x" * 60}).status_code == 302
    slugs = set(Room.objects.values_list("slug", flat=True))
    assert len(slugs) == 12
    assert max(map(len, slugs)) <= 60


def test_a_slug_that_somebody_takes_meanwhile_gets_the_next_number(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = rooms.create

    def slower(user_id: int, name: str, description: str, slug: str, is_private: bool) -> Room:
        monkeypatch.setattr(rooms, "create", create)
        create(user_id, "Quicker", "", slug)
        with transaction.atomic():
            return create(user_id, name, description, slug, is_private)

    monkeypatch.setattr(rooms, "create", slower)
    assert client.post("/rooms/", {"name": "Design"})["Location"] == "/rooms/design-2/"


def test_a_room_that_cannot_be_created_fails_after_a_few_tries(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Room:
        raise IntegrityError

    monkeypatch.setattr(rooms, "create", never)
    with pytest.raises(IntegrityError, match="5 tries"):
        client.post("/rooms/", {"name": "Design"})


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"name": ""},
        {"name": "   "},
        {"name": "!!!"},
        {"name": "🎉"},
        {"name": "---"},
        {"name": "x" * 61},
        {"name": "a\u200bb"},
        {"name": "a\u202eb"},
        {"name": "a\0b"},
        {"name": "fine", "description": "x" * 201},
        {"name": "fine", "description": "a\u202eb"},
    ],
)
def test_a_room_without_a_good_name_is_not_created(client: Client, form: dict[str, str]) -> None:
    refused = client.post("/rooms/", form)
    assert (refused.status_code, refused["Cache-Control"]) == (422, "no-store")
    assert refused.context["room_form"].errors
    assert boot(refused)["room"] is None
    assert not Room.objects.exists()


def test_a_person_creates_twenty_rooms_an_hour_and_no_more(client: Client, ann: User) -> None:
    for number in range(20):
        assert client.post("/rooms/", {"name": f"Room {number}"}).status_code == 302
    refused = client.post("/rooms/", {"name": "One more"})
    assert refused.status_code == 429
    assert "Please wait" in str(refused.context["room_form"].non_field_errors())
    assert logged_in(User.objects.create_user("Bob")).post("/rooms/", {"name": "Bob's"}).status_code == 302
    Room.objects.filter(slug="room-0").update(created_at=timezone.now() - timedelta(minutes=61))
    assert client.post("/rooms/", {"name": "One more"}).status_code == 302


def test_joining_and_leaving_can_be_done_twice(lobby: Room) -> None:
    bob = User.objects.create_user("Bob")
    browser = logged_in(bob)
    for _ in range(2):
        assert browser.post("/rooms/lobby/join/")["Location"] == "/rooms/lobby/"
        assert lobby.members.filter(pk=bob.pk).exists()
    for _ in range(2):
        assert browser.post("/rooms/lobby/leave/")["Location"] == "/"
        assert not lobby.members.filter(pk=bob.pk).exists()


# JSON -----------------------------------------------------------------------------------------------------------


def test_history_comes_as_json(client: Client, ann: User, lobby: Room) -> None:
    say(ann, "a", "b", "<c>")
    answer = client.get("/api/rooms/lobby/messages/")
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    assert answer["Content-Type"] == "application/json"
    page = answer.json()
    assert set(page) == {"room", "messages", "offset", "epoch", "more"}
    assert [message["text"] for message in page["messages"]] == ["a", "b", "<c>"]
    assert page["messages"][2]["html"] == "<p>&lt;c&gt;</p>"
    before = page["messages"][2]["offset"]
    older = client.get("/api/rooms/lobby/messages/", {"before": before, "limit": 1}).json()
    assert ([message["text"] for message in older["messages"]], older["more"]) == (["b"], True)


def test_a_page_has_fifty_messages_and_at_most_a_hundred(client: Client, ann: User, lobby: Room) -> None:
    say(ann, *(f"m{number}" for number in range(120)))

    def length(**query: str) -> int:
        return len(client.get("/api/rooms/lobby/messages/", query).json()["messages"])

    assert length() == 50
    assert length(limit="7") == length(limit="007") == 7
    assert length(limit="100") == length(limit="101") == length(limit="9" * 500) == 100
    assert length(before="9" * 500) == length(before=str(2**63)) == 50


@pytest.mark.parametrize(
    "value", ["0", "-1", "abc", "", "1.5", "1e3", " 1", "+1", "0x10", "١", "²", "NaN", "1_000", "00", "\0", "1;--"]
)
@pytest.mark.parametrize("name", ["before", "limit"])
def test_what_is_no_whole_number_is_refused(client: Client, lobby: Room, name: str, value: str) -> None:
    refused = client.get("/api/rooms/lobby/messages/", {name: value})
    assert (refused.status_code, refused["Cache-Control"]) == (400, "no-store")
    error = refused.json()["error"]
    assert error["code"] == "invalid"
    assert error["detail"] == f"{name} must be a whole number, 1 or more."


@pytest.mark.parametrize("path", ["/api/rooms/", "/api/rooms/lobby/messages/", "/api/rooms/nowhere/messages/"])
def test_who_has_no_session_gets_401(lobby: Room, path: str) -> None:
    refused = Client().get(path)
    assert (refused.status_code, refused["Cache-Control"]) == (401, "no-store")
    assert refused.json()["error"]["code"] == "unauthenticated"


def test_an_unknown_room_s_history_says_so(client: Client) -> None:
    assert client.get("/api/rooms/nowhere/messages/").json() == {
        "error": {"code": "not_found", "detail": "There is no such room."}
    }


# The administration ---------------------------------------------------------------------------------------------


@pytest.fixture
def office() -> Client:
    return logged_in(User.objects.create_superuser("Root"))


def test_staff_see_people_rooms_and_messages(office: Client, ann: User, lobby: Room) -> None:
    say(ann, "**hello**")
    for page in ("user/", f"user/{ann.pk}/change/", "user/add/", "room/", f"room/{lobby.pk}/change/", "message/"):
        assert office.get(f"/admin/chat/{page}").status_code == 200
    assert "**hello**" in office.get("/admin/chat/message/").content.decode()
    assert office.get("/admin/auth/group/add/").status_code == 200


def test_nobody_else_does(client: Client) -> None:
    for page in ("", "chat/user/", "chat/message/"):
        assert client.get(f"/admin/{page}")["Location"].startswith("/admin/login/")


def test_what_members_must_hear_of_is_not_changed_there(office: Client, ann: User, lobby: Room) -> None:
    say(ann, "hello")
    message = lobby.messages.get()
    for page in ("room/add/", f"room/{lobby.pk}/delete/", "message/add/", f"message/{message.pk}/delete/"):
        assert office.get(f"/admin/chat/{page}").status_code == 403
    assert office.post(f"/admin/chat/message/{message.pk}/change/", {"text": "x"}).status_code == 403


def test_a_name_given_by_staff_follows_the_same_rules(office: Client, ann: User) -> None:
    form = {
        "name": "  Bob   Lee ",
        "usable_password": "true",
        "password1": "harbour at four",
        "password2": "harbour at four",
    }
    assert office.post("/admin/chat/user/add/", form).status_code == 302
    bob = User.objects.get(username="bob lee")
    assert bob.name == "Bob Lee"
    assert bob.check_password("harbour at four")
    for name in ("ANN", "a\u200bb", " "):
        assert office.post("/admin/chat/user/add/", form | {"name": name}).status_code == 200
        assert office.post(f"/admin/chat/user/{bob.pk}/change/", {"name": name}).status_code == 200
    assert office.post(f"/admin/chat/user/{bob.pk}/change/", {"name": "BOB", "is_active": "on"}).status_code == 302
    bob.refresh_from_db()
    assert (bob.name, bob.username, bob.is_active) == ("BOB", "bob", True)
    assert User.objects.count() == 3
