"""Who is online, as the subscribers of a room are told it: over real sockets, on one server and on two."""

import asyncio
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks.cluster import Cluster
from benchmarks.services import Redis
from chat import presence, protocol
from chat.models import Membership, Room, User
from realtime_project.models import Connection
from realtime_project.models import Server as ServerRow
from tests.helpers import ChatClient, Frame, Server, browser, cookies, create_room, guest, unique

SOON = 8.0  # seconds: a beat of the registry and the pace of a busy machine


def told(client: ChatClient, room: str) -> list[Frame]:
    return [frame for frame in client.frames if frame["type"] == "presence" and frame["room"] == room]


def seen(client: ChatClient, room: str) -> dict[int, str]:
    """Who is online, as this client must believe after its frames."""
    people: dict[int, str] = {}
    for frame in told(client, room):
        assert "more" not in frame
        if frame.get("all"):
            people = {}
        for person in frame["went"]:
            assert people.pop(person["id"]) == person["name"]
        for person in frame["came"]:
            assert people.setdefault(person["id"], person["name"]) == person["name"]
        assert len(people) == frame["online"]
    return people


async def sees(client: ChatClient, room: str, *names: str, patience: float = SOON) -> None:
    try:
        async with asyncio.timeout(patience):
            while sorted(seen(client, room).values()) != sorted(names):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{names} expected, {seen(client, room)} seen: {told(client, room)}") from None


class Someone:
    """A guest by a name that can be asked for."""

    def __init__(self, server: Server, word: str) -> None:
        self.name = unique(word)
        self.cookie = guest(server, self.name)

    def on(self, server: Server) -> ChatClient:
        return ChatClient(server, self.cookie)


async def test_people_come_and_go_and_several_tabs_are_one_person(server: Server) -> None:
    ann, bob = Someone(server, "ann"), Someone(server, "bob")
    room = create_room(server, ann.cookie)
    async with ann.on(server) as a:
        await a.subscribe(room)
        await sees(a, room, ann.name)
        async with bob.on(server) as b:
            await b.subscribe(room)
            await sees(b, room, ann.name)
            await b.post(room, "hello")  # which makes bob a member, and he was online before
            await sees(a, room, ann.name, bob.name)
            await sees(b, room, ann.name, bob.name)
            async with bob.on(server) as tab:
                await tab.subscribe(room)
                await sees(tab, room, ann.name, bob.name)
                before = len(told(a, room))
            await asyncio.sleep(3)  # two beats and a frame
            assert len(told(a, room)) == before
        await sees(a, room, ann.name)
    frames = told(a, room)
    assert [frame.get("all", False) for frame in frames] == [True] + [False] * (len(frames) - 1)
    assert all(frame["came"] or frame["went"] for frame in frames[1:])


async def test_a_frame_is_to_the_letter(server: Server) -> None:
    ann = Someone(server, "ann")
    room = create_room(server, ann.cookie)
    number = server.python(f"from chat.models import User; print(User.objects.get(name={ann.name!r}).pk)")
    async with ann.on(server) as a:
        async with asyncio.timeout(SOON):
            while not (await asyncio.to_thread(members, server, ann, room))[ann.name]:
                await asyncio.sleep(0.1)
        await a.subscribe(room)
        frame = await a.frame(lambda frame: frame["type"] == "presence")
        person = {"id": number, "name": ann.name}
        assert frame == {"type": "presence", "room": room, "online": 1, "all": True, "came": [person], "went": []}
        assert [each["type"] for each in a.frames][:2] == ["subscribed", "presence"]
        await a.subscribe(room)  # once more: told anew, at once
        await a.frame(lambda frame: frame["type"] == "presence", after=3)
        assert told(a, room) == [frame, frame]
        async with ann.on(server) as other:  # whoever comes while it is known is told without a wait
            await other.subscribe(room)
            assert await other.frame(lambda frame: frame["type"] == "presence", 0.5) == frame
        await a.command(type="subscribe", room="lobby")
        await a.send(type="unsubscribe", room=room)
        heard = len(told(a, room))
        async with Someone(server, "bob").on(server) as b:
            await b.post(room, "hello")
            await asyncio.sleep(3)
        assert len(told(a, room)) == heard


async def test_who_leaves_a_room_is_no_longer_shown_in_it(server: Server) -> None:
    ann, bob = Someone(server, "ann"), Someone(server, "bob")
    room = create_room(server, ann.cookie)
    async with ann.on(server) as a, bob.on(server) as b:
        await a.subscribe(room)
        await b.post(room, "hello")
        await sees(a, room, ann.name, bob.name)
        await asyncio.to_thread(
            server.python,
            f"from chat import rooms; from chat.models import User; "
            f"rooms.leave(User.objects.get(name={bob.name!r}).pk, {room!r})",
        )
        await sees(a, room, ann.name)


def admit(server: Server, room: str, name: str) -> None:
    server.python(f"""
        from django.db import transaction
        from chat import rooms
        from chat.models import Room, User
        with transaction.atomic():
            rooms.admit(User.objects.get(name={name!r}).pk, Room.objects.get(slug={room!r}))
    """)


def remove(server: Server, room: str, name: str) -> None:
    server.python(f"""
        from chat import rooms
        from chat.models import Room, User
        room = Room.objects.get(slug={room!r})
        assert rooms.remove(room.created_by_id, room.slug, User.objects.get(name={name!r}).pk)
    """)


async def test_a_private_room_tells_its_members_alone(server: Server) -> None:
    ann, bob, eve = (Someone(server, name) for name in ("ann", "bob", "eve"))
    room = create_room(server, ann.cookie, unique("founders"), is_private="on")
    admit(server, room, bob.name)
    async with ann.on(server) as a, bob.on(server) as b, eve.on(server) as e:
        for client in (a, b):
            await client.subscribe(room)
            await sees(client, room, ann.name, bob.name)
        await e.send(type="subscribe", room=room)
        await e.subscribe("lobby")
        await asyncio.to_thread(remove, server, room, bob.name)
        await b.frame(lambda frame: frame["type"] == "member.removed")
        heard = len(b.frames)
        await sees(a, room, ann.name)
        async with ann.on(server):
            pass
        carol = Someone(server, "carol")
        await asyncio.to_thread(admit, server, room, carol.name)
        async with carol.on(server):
            await sees(a, room, ann.name, carol.name)
        await sees(a, room, ann.name)
        assert len(b.frames) == heard
        assert told(e, room) == []


class Connected:
    """Stands where a socket's connection would: keeps what is written."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    def write(self, events: Any) -> None:
        self.written += [event.content for event in events]


def connected(user: User, server: ServerRow, number: int) -> Connection:
    return Connection(
        id=f"{number:032}", server=server, channel_id=number, endpoint="/", path="/", mode="chat",
        client_ip="127.0.0.1", user=user, connected_at=server.started_at,
    )  # fmt: skip


@pytest.fixture
def serving(db: None) -> ServerRow:
    row = ServerRow.objects.create(id="s", host="", pid=1, version="")
    row.refresh_from_db()
    return row


@pytest.mark.django_db(transaction=True)
async def test_who_was_removed_is_not_told_although_their_subscription_does_not_know_it_yet() -> None:
    """As where the doorbell was lost: the log's event comes with the next sweep, and presence may be earlier."""
    from realtime_project import database

    def prepare() -> tuple[Room, User, User]:
        server = ServerRow.objects.create(id="s", host="", pid=1, version="")
        server.refresh_from_db()
        ann, bob = User.objects.create_user("Ann"), User.objects.create_user("Bob")
        room = Room.objects.create(slug="founders", name="Founders", is_private=True)
        Membership.objects.create(room=room, user=ann)
        connected(ann, server, 0).save()
        return room, ann, bob

    room, ann, bob = await database.run(prepare)
    here = presence.Presence()
    member, removed = Connected(), Connected()
    for user, at in ((ann, member), (bob, removed)):
        watch = here.watch(room.pk, "founders", True, user.pk, at)
        here.rooms.setdefault(room.pk, watch.room).watches.add(watch)
        watch.room, watch.open = here.rooms[room.pk], True
    await here._look()
    person = {"id": ann.pk, "name": "Ann"}
    assert member.written == [protocol.presence("founders", 1, [person], [], all=True, more=False)]
    assert removed.written == []


@pytest.mark.django_db
def test_a_room_of_5000_costs_as_many_queries_as_a_small_one(serving: ServerRow) -> None:
    people = User.objects.bulk_create(User(username=f"p{n}", name=f"P{n}") for n in range(5_000))
    room = Room.objects.create(slug="crowd", name="Crowd")
    Membership.objects.bulk_create(Membership(room=room, user=user) for user in people)
    Connection.objects.bulk_create(connected(user, serving, n) for n, user in enumerate(people[:4_000]))
    with CaptureQueriesContext(connection) as queries:
        found = presence._online([room.pk], ())
    assert found == {room.pk: {user.pk: user.name for user in people[:4_000]}}
    assert len(queries) == 1
    with CaptureQueriesContext(connection) as queries:
        found = presence._online([], [user.pk for user in people])
    assert len(found[room.pk]) == 4_000
    assert len(queries) == 5_000 / presence.ASKED


def test_a_frame_names_a_bounded_number_of_people() -> None:
    import msgspec

    room = presence.Room(1, "crowd", False)
    crowd = {number: f"person {number}" for number in range(5_000)}
    [first] = presence._frame(room, crowd, None)
    frame = msgspec.json.decode(first.content)
    assert (frame["online"], len(frame["came"]), frame["all"], frame["more"]) == (5_000, presence.NAMED, True, True)
    assert len(first.content) < 4_000
    [then] = presence._frame(room, {}, crowd)
    frame = msgspec.json.decode(then.content)
    assert (frame["online"], len(frame["went"]), frame["more"], "all" in frame) == (0, presence.NAMED, True, False)


def members(server: Server, person: Someone, room: str) -> dict[str, bool]:
    with browser(server.url, cookies=cookies(person.cookie)) as asking:
        answer = asking.get(f"/api/rooms/{room}/members/")
    return {member["name"]: member["online"] for member in answer.json()["members"]}


async def test_the_list_of_members_says_who_is_online(server: Server) -> None:
    ann, bob, cat = (Someone(server, name) for name in ("ann", "bob", "cat"))
    room = create_room(server, ann.cookie)
    for each in (bob, cat):
        admit(server, room, each.name)
    async with cat.on(server) as c:
        await c.subscribe(room)
        await sees(c, room, cat.name)
        listed = await asyncio.to_thread(members, server, ann, room)
    assert list(listed.items()) == [(ann.name, False), (cat.name, True), (bob.name, False)]


# Two servers ----------------------------------------------------------------------------------------------------


async def test_across_servers_and_no_ghosts_after_one_was_killed(killable: Cluster) -> None:
    one, two = killable.servers
    ann, bob, cat = (Someone(one, name) for name in ("ann", "bob", "cat"))
    room = create_room(one, ann.cookie)
    async with ann.on(one) as a, cat.on(one) as c:
        await c.post(room, "hi")
        await a.subscribe(room)
        async with bob.on(two) as b, cat.on(two) as elsewhere:
            await b.post(room, "hello")
            for client in (a, b):
                await client.subscribe(room)
                await sees(client, room, ann.name, bob.name, cat.name)
            await elsewhere.subscribe(room)
            two.kill()
        await sees(a, room, ann.name, cat.name)
    assert len([person for frame in told(a, room) for person in frame["went"]]) == 1
    assert c.frames


@pytest.mark.logs_errors
async def test_what_happened_while_redis_was_away_is_found_afterwards(killable: Cluster, own_redis: Redis) -> None:
    one, two = killable.servers
    ann, bob, cat = (Someone(one, name) for name in ("ann", "bob", "cat"))
    room = create_room(one, ann.cookie)
    async with ann.on(one) as a:
        await a.subscribe(room)
        async with bob.on(two) as b:
            await b.post(room, "hello")
            await sees(a, room, ann.name, bob.name)
            own_redis.kill()
        async with cat.on(two) as c:  # bob went, cat came, and nobody could say so
            await c.post(room, "hello")
            await sees(a, room, ann.name, cat.name, patience=presence.HEAL + SOON)
            own_redis.start()
        await sees(a, room, ann.name, patience=presence.HEAL + SOON)
