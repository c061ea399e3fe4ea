"""A private room does not exist for who is not in it: not by its name, its address, its answers or their cost."""

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat import consumers, edits, invitations, protocol, rooms, timeline
from chat.models import Invitation, Membership, Message, Room, User
from realtime_project import database
from realtime_project.topics import hub
from tests.chat.people import logged_in
from tests.helpers import PATIENCE, ChatClient, Refused, Server, connect, create_room, guest, submit, unique
from tests.helpers import cookies as cookies_of

MISSING = "founders-000000000000"  # as long as the address of a private room of that name


MADE_EACH_TIME = re.compile(r"'[\d: .+-]{20,}'|\"s\d+_x\d+\"")  # moments, names of savepoints


@pytest.fixture
def founders(ann: User) -> Room:
    """Ann's private room, with a message in it."""
    logged_in(ann).post("/rooms/", {"name": "Founders", "description": "Hush", "is_private": "on"})
    room = Room.objects.get()
    say(ann, room.slug, "the secret")
    return room


def say(author: User, slug: str, text: str) -> rooms.Ack | rooms.Refusal:
    with transaction.atomic():
        [outcome] = rooms.post([rooms.Post(author.pk, slug, f"c-{text}", text)])
    return outcome


# Making one -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_its_address_has_a_random_end(ann: User, founders: Room) -> None:
    assert founders.is_private
    assert founders.created_by == ann
    assert re.fullmatch(r"founders-[0-9a-f]{12}", founders.slug)
    logged_in(ann).post("/rooms/", {"name": "x" * 60, "is_private": "on"})
    assert len(Room.objects.latest("pk").slug) == 60


@pytest.mark.django_db
def test_a_public_room_of_the_same_name_gets_the_address_it_would_get_anyway(bob: User, founders: Room) -> None:
    assert logged_in(bob).post("/rooms/", {"name": "Founders"})["Location"] == "/rooms/founders/"
    assert logged_in(bob).post("/rooms/", {"name": "Founders"})["Location"] == "/rooms/founders-2/"


@pytest.mark.django_db
def test_the_list_of_rooms_shows_it_to_its_members_alone(ann: User, bob: User, founders: Room) -> None:
    [listed] = timeline.rooms_for(ann)
    assert (listed["slug"], listed["private"], listed["mine"], listed["member"]) == (founders.slug, True, True, True)
    assert timeline.rooms_for(bob) == []
    page = logged_in(bob).get("/").content.decode()
    assert "Founders" not in page
    assert "Hush" not in page


# Answers and their cost -----------------------------------------------------------------------------------------


def answers(outsider: User, browser: Client, slug: str) -> Iterator[tuple[str, Any, list[str]]]:
    """What an outsider is told in each way there is, and the queries that it took, both without the name."""

    def over_http(method: str, path: str) -> Callable[[], Any]:
        def ask() -> Any:
            answer = getattr(browser, method)(path)
            headers = {name: value for name, value in answer.headers.items() if name != "Content-Security-Policy"}
            return answer.status_code, answer.content.decode(), headers

        return ask

    ways: dict[str, Callable[[], Any]] = {
        "page": over_http("get", f"/rooms/{slug}/"),
        "history": over_http("get", f"/api/rooms/{slug}/messages/"),
        "older history": over_http("get", f"/api/rooms/{slug}/messages/?before=2"),
        "join": over_http("post", f"/rooms/{slug}/join/"),
        "leave": over_http("post", f"/rooms/{slug}/leave/"),
        "subscribe": lambda: consumers._find_room(slug, outsider.pk),
        "post": lambda: rooms.post([rooms.Post(outsider.pk, slug, "x", "let me in")]),
        "long post": lambda: rooms.post([rooms.Post(outsider.pk, slug, "x", "x" * 5_000)]),
        "empty post": lambda: rooms.post([rooms.Post(outsider.pk, slug, "x", "")]),
        "read": lambda: rooms.mark_read([rooms.Mark(outsider.pk, slug, 1)]),
    }
    for way, ask in ways.items():
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            answer = ask()
        told = json.dumps(answer, default=str).replace(slug, "…")
        yield way, told, [MADE_EACH_TIME.sub("", query["sql"].replace(slug, "…")) for query in queries]


@pytest.mark.django_db
def test_a_forbidden_room_and_a_missing_one_are_answered_alike_with_the_same_queries(bob: User, founders: Room) -> None:
    browser = logged_in(bob)
    list(answers(bob, browser, MISSING))  # whatever is made once
    forbidden, missing = list(answers(bob, browser, founders.slug)), list(answers(bob, browser, MISSING))
    for (way, told, asked), (_, told_of_nothing, asked_of_nothing) in zip(forbidden, missing, strict=True):
        assert told == told_of_nothing, way
        assert asked == asked_of_nothing, way
        assert "secret" not in told
        assert "Founders" not in told
    assert Membership.objects.count() == 1
    assert Message.objects.count() == 1


@pytest.mark.django_db
def test_who_was_removed_is_an_outsider_from_the_commit_on(ann: User, bob: User, founders: Room) -> None:
    browser = logged_in(bob)
    list(answers(bob, browser, MISSING))
    before = list(answers(bob, browser, founders.slug))
    with transaction.atomic():
        rooms.admit(bob.pk, founders)
    assert isinstance(say(bob, founders.slug, "hello"), rooms.Ack)
    assert rooms.remove(ann.pk, founders.slug, bob.pk)
    assert say(bob, founders.slug, "one more") == rooms.NO_ROOM
    assert say(bob, founders.slug, "hello") == rooms.NO_ROOM  # a retry, too
    assert list(answers(bob, browser, founders.slug)) == before


@pytest.mark.django_db
def test_a_list_of_posts_is_decided_one_by_one(ann: User, bob: User, founders: Room) -> None:
    public = rooms.create(ann.pk, "Lobby", "", "lobby")
    slugs = [founders.slug, public.slug, MISSING]
    posts = [rooms.Post(person.pk, slug, "c", "hi") for person in (ann, bob) for slug in slugs]
    with transaction.atomic():
        outcomes = rooms.post(posts)
    assert [isinstance(outcome, rooms.Ack) for outcome in outcomes] == [True, True, False, False, True, False]
    assert outcomes[2] == outcomes[3] == outcomes[5] == rooms.NO_ROOM


def test_a_change_of_members_is_told_from_every_other_event() -> None:
    removed, added = (
        protocol.member_changed(each, "lobby", 3, {"id": 7, "name": "b"}) for each in ("removed", "added")
    )
    assert protocol.membership(removed) == ("removed", 7)
    assert protocol.membership(added) == ("added", 7)
    assert protocol.membership(protocol.message_created("lobby", 3, {"text": removed})) is None
    assert protocol.membership(b"\x00") is None


class Silence:
    """A connection to which nothing may be written."""

    id = "of this test"

    def write(self, events: Any) -> None:
        raise AssertionError(events)

    def send_text(self, text: str) -> None:
        raise AssertionError(text)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("fresh_hub")
async def test_who_is_removed_while_they_subscribe_gets_no_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    """The room was found, and by the time the log is asked where it ends the removal stands in it already."""

    def prepare() -> tuple[User, User, Room]:
        ann, bob = User.objects.create_user("Ann"), User.objects.create_user("Bob")
        room = rooms.create(ann.pk, "Founders", "", "founders", is_private=True)
        with transaction.atomic():
            rooms.admit(bob.pk, room)
        return ann, bob, room

    ann, bob, room = await database.run(prepare)
    find = consumers._find_room
    found = []

    def found_and_removed(slug: str, user: int) -> tuple[int | None, bool]:
        found.append(find(slug, user))
        rooms.remove(ann.pk, slug, bob.pk)
        return found[-1]

    monkeypatch.setattr(consumers, "_find_room", found_and_removed)
    consumer = consumers.ChatConsumer()
    consumer.user, consumer.connection = bob, Silence()  # type: ignore[assignment]
    assert await consumer._admit(protocol.Subscribe(room=room.slug, since=0)) is None
    assert found == [(room.pk, True), (None, False)]
    assert not any(feed.members for feed in hub().feeds.values())


@pytest.mark.django_db(transaction=True)
def test_what_waits_for_a_removal_to_commit_is_refused(ann: User, bob: User, founders: Room) -> None:
    """Posting, accepting and making a link: whoever comes second sees what the first has done."""
    with transaction.atomic():
        rooms.admit(bob.pk, founders)
    token, _ = invitations.make(bob.pk, founders.slug)
    begun = threading.Barrier(4)

    def meanwhile(work: Callable[[], object]) -> object:
        begun.wait(PATIENCE)
        try:
            return work()
        except (Room.DoesNotExist, Invitation.DoesNotExist) as refusal:
            return type(refusal)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as others:
        works = (
            lambda: say(bob, founders.slug, "quick"),
            lambda: invitations.accept(bob.pk, token),
            lambda: invitations.make(bob.pk, founders.slug),
        )
        with transaction.atomic():
            rooms.remove(ann.pk, founders.slug, bob.pk)
            waiting = [others.submit(meanwhile, work) for work in works]
            begun.wait(PATIENCE)
            time.sleep(0.5)
            assert not any(each.done() for each in waiting)
        outcomes = [each.result(PATIENCE) for each in waiting]
    assert outcomes == [rooms.NO_ROOM, Invitation.DoesNotExist, Room.DoesNotExist]
    assert set(founders.members.all()) == {ann}


# Over real sockets ----------------------------------------------------------------------------------------------


def private_room(server: Server, cookie: str) -> str:
    return create_room(server, cookie, unique("founders"), is_private="on")


def admit(server: Server, slug: str, name: str) -> None:
    server.python(f"""
        from django.db import transaction
        from chat import rooms
        from chat.models import Room, User
        with transaction.atomic():
            rooms.admit(User.objects.get(name={name!r}).pk, Room.objects.get(slug={slug!r}))
    """)


def remove(server: Server, cookie: str, slug: str, name: str) -> None:
    server.python(f"""
        from chat import rooms
        from chat.models import Room, User
        room = Room.objects.get(slug={slug!r})
        assert rooms.remove(room.created_by_id, room.slug, User.objects.get(name={name!r}).pk)
    """)


async def attack(client: ChatClient, slug: str) -> list[bytes]:
    """Every command about a room, each under the same id; the answers, byte for byte but for the room's name."""
    commands: list[dict[str, Any]] = [
        {"type": "subscribe"},
        {"type": "subscribe", "since": 0},
        {"type": "subscribe", "since": 1, "epoch": "guessed"},
        {"type": "post", "text": "let me in"},
        {"type": "post", "text": "x" * 5_000},
        {"type": "typing"},
        {"type": "read", "offset": 1},
        {"type": "unsubscribe"},
    ]
    answers = []
    for command in commands:
        with pytest.raises(Refused) as refused:
            await client.command(**command, room=slug, id="same")
        answers.append(json.dumps(refused.value.reply).replace(slug, "…").encode())
    return answers


async def test_an_outsider_gets_nothing_by_any_way(server: Server) -> None:
    ann, eve = guest(server, unique("ann")), guest(server, unique("eve"))
    slug = private_room(server, ann)
    number = server.python(f"from chat.models import Room; print(Room.objects.get(slug={slug!r}).pk)")
    missing = slug[:-12] + "0" * 12
    guesses = [f"chat.room:{number}", f"chat.live:{number}", slug, f"../chat.room:{number}"]
    async with ChatClient(server, ann) as a, ChatClient(server, eve) as e:
        await a.subscribe(slug)
        assert await attack(e, slug) == await attack(e, missing)
        sockets = [connect(server.ws(f"ws/rooms/{guess.replace('/', '%2F')}/")) for guess in guesses]
        opened = [await each.__aenter__() for each in sockets[:3]]
        for topic in guesses:
            with pytest.raises(Refused):
                await e.subscribe(topic)
        ack = await a.post(slug, "only for us")
        await a.send(type="typing", room=slug)
        await a.heard(slug, ack["offset"])
        for socket in opened:
            await socket.silent()
        await opened[0].send_json({"user": "eve", "text": "are you there?"})
        await opened[0].recv_json()
        await asyncio.sleep(0.3)
        assert a.texts(slug) == ["only for us"]
        assert [frame for frame in e.frames if frame["type"] != "error"] == []
        for each in sockets[:3]:
            await each.__aexit__(None, None, None)
    with httpx.Client(base_url=server.url, cookies=cookies_of(eve), trust_env=False, timeout=PATIENCE) as browser:
        assert slug not in browser.get("/api/rooms/").text
        for path in ("/api/rooms/{}/messages/", "/api/rooms/{}/messages/?before=9", "/rooms/{}/"):
            forbidden, nothing = (browser.get(path.format(name)) for name in (slug, missing))
            assert forbidden.status_code == nothing.status_code == 404


async def test_who_is_removed_is_told_and_then_hears_nothing_more(server: Server, beside: Server) -> None:
    here, there = server, beside  # with a layer of its own: the sweep finds it
    bob_name = unique("bob")
    ann, bob = guest(here, unique("ann")), guest(here, bob_name)
    slug = private_room(here, ann)
    admit(here, slug, bob_name)
    async with ChatClient(here, ann) as a, ChatClient(here, bob) as b, ChatClient(there, bob) as far:
        for client in (a, b, far):
            await client.subscribe(slug)
        first = await b.post(slug, "hello")
        for client in (a, b, far):
            await client.heard(slug, first["offset"])
        remove(here, ann, slug, bob_name)
        with pytest.raises(Refused) as refused:
            await b.post(slug, "still here?")
        assert refused.value.reply["code"] == "not_found"
        for client in (b, far):
            await client.frame(lambda frame: frame["type"] == "member.removed")
        heard = [len(client.frames) for client in (b, far)]
        for number in range(3):
            await a.post(slug, f"among us {number}")
        await a.send(type="typing", room=slug)
        await a.send(type="read", room=slug, offset=4)
        await asyncio.sleep(2.5)  # longer than a sweep
        assert [len(client.frames) for client in (b, far)] == heard
        assert a.texts(slug)[-1] == "among us 2"
        for client in (b, far):
            assert client.events(slug)[-1]["type"] == "member.removed"
            assert client.events(slug)[-1]["user"]["name"] == bob_name
        missing = slug[:-12] + "0" * 12
        assert await attack(b, slug) == await attack(b, missing)
        assert await attack(far, slug) == await attack(far, missing)
        await a.post(slug, "the room goes on")

        admit(here, slug, bob_name)  # and invited again, all is there, through the old removal
        reply = await b.subscribe(slug, since=first["offset"])
        assert reply["recovered"]
        await b.heard(slug, first["offset"] + 1)


async def test_the_others_hear_of_a_removal_and_stay(server: Server) -> None:
    names = [unique(name) for name in ("ann", "bob", "cleo")]
    ann, bob, cleo = (guest(server, name) for name in names)
    slug = private_room(server, ann)
    for name in names[1:]:
        admit(server, slug, name)
    async with ChatClient(server, bob) as b, ChatClient(server, cleo) as c:
        await b.subscribe(slug)
        await c.subscribe(slug)
        remove(server, ann, slug, names[1])
        for client in (b, c):
            await client.frame(lambda frame: frame["type"] == "member.removed")
        ack = await c.post(slug, "and then there were two")
        await c.heard(slug, ack["offset"])
        c.assert_whole(slug)
        assert b.texts(slug) == []


async def test_who_leaves_a_public_room_may_subscribe_again(server: Server) -> None:
    cookie = guest(server)
    slug = create_room(server, cookie)
    async with ChatClient(server, cookie) as client:
        await client.subscribe(slug)
        with httpx.Client(base_url=server.url, cookies=cookies_of(cookie), trust_env=False) as browser:
            submit(browser, f"/rooms/{slug}/leave/")
        removed = await client.frame(lambda frame: frame["type"] == "member.removed")
        assert (await client.subscribe(slug, since=removed["offset"]))["recovered"]
        await client.post(slug, "back")


@pytest.mark.django_db(transaction=True)
def test_what_was_said_in_it_cannot_be_changed_from_outside(ann: User, bob: User, founders: Room) -> None:
    said = say(ann, founders.slug, "between us")
    assert isinstance(said, rooms.Ack)
    with transaction.atomic():
        rooms.admit(bob.pk, founders)
        [own] = rooms.post([rooms.Post(bob.pk, founders.slug, "b", "mine")])
    assert isinstance(own, rooms.Ack)
    rooms.remove(ann.pk, founders.slug, bob.pk)
    missing = own.message + 1_000
    with transaction.atomic():
        answers = [
            *edits.edit([edits.Edit(bob.pk, own.message, "changed"), edits.Edit(bob.pk, missing, "changed")]),
            *edits.delete([edits.Delete(bob.pk, own.message), edits.Delete(bob.pk, missing)]),
            *edits.react([edits.React(bob.pk, said.message, "👍", True), edits.React(bob.pk, missing, "👍", True)]),
        ]
    assert answers == [edits.NO_MESSAGE] * 6
