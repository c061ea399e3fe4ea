"""The chat connection's protocol, to the letter, over real sockets."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat import consumers
from tests.helpers import ChatClient, Refused, Server, browser, connect, cookies, create_room, guest, running, unique


async def test_who_is_not_logged_in_is_told_so_with_4401(server: Server) -> None:
    async with connect(server.ws("ws/chat/")) as socket:
        code, _ = await socket.closed()
    assert code == 4401


async def test_a_post_is_acknowledged_and_reaches_everyone_with_one_offset(server: Server) -> None:
    ann, bob = guest(server, unique("ann")), guest(server, unique("bob"))
    room = create_room(server, ann)
    async with ChatClient(server, ann) as a, ChatClient(server, bob) as b:
        subscribed = await a.subscribe(room)
        assert subscribed["type"] == "subscribed"
        assert (subscribed["room"], subscribed["recovered"]) == (room, True)
        assert subscribed["head"] == 1  # who made the room has joined it
        await b.subscribe(room)
        ack = await a.post(room, "hi **there**", id="c-1")
        assert ack == {"type": "ack", "id": "c-1", "room": room, "offset": 2, "message": ack["message"]}
        for client in (a, b):
            await client.heard(room, 2)
            [event] = client.events(room)
            message = event["message"]
            assert event["type"] == "message.created"
            assert message["id"] == ack["message"]
            assert message["text"] == "hi **there**"
            assert message["html"] == "<p>hi <strong>there</strong></p>"
            assert message["client_id"] == "c-1"
            assert message["author"]["name"].startswith("ann-")
            assert message["created_at"].endswith("Z")
            assert len(message["created_at"]) == len("2026-11-20T10:00:00.000Z")


async def test_a_repeated_post_is_acknowledged_alike_and_stored_once(server: Server) -> None:
    cookie = guest(server)
    room = create_room(server, cookie)
    async with ChatClient(server, cookie) as client:
        await client.subscribe(room)
        first = await client.post(room, "once", id="same")
        assert await client.post(room, "once", id="same") == first
        for _ in range(20):
            await client.send(type="post", room=room, id="train", text="in one train")
        last = await client.post(room, "last")
        await client.heard(room, last["offset"])
        assert client.texts(room) == ["once", "in one train", "last"]
        client.assert_whole(room)


async def test_an_id_is_unique_per_author_and_room_only(server: Server) -> None:
    ann, bob = guest(server), guest(server)
    one, two = create_room(server, ann), create_room(server, ann)
    async with ChatClient(server, ann) as a, ChatClient(server, bob) as b:
        acks = [await a.post(one, "1", id="x"), await a.post(two, "2", id="x"), await b.post(one, "3", id="x")]
    assert len({ack["message"] for ack in acks}) == 3


async def test_since_replays_what_was_missed_and_then_goes_on(server: Server) -> None:
    cookie = guest(server)
    room = create_room(server, cookie)
    async with ChatClient(server, cookie) as writer:
        for number in range(10):
            await writer.post(room, str(number))
        async with ChatClient(server, cookie) as reader:
            reply = await reader.subscribe(room, since=4)
            assert reply["recovered"]
            await writer.post(room, "10")
            await reader.heard(room, 12)
            assert reader.texts(room) == [str(number) for number in range(3, 11)]
            reader.assert_whole(room)


@pytest.mark.parametrize(("since", "epoch"), [(10_000, None), (1, "another life")])
async def test_a_since_that_cannot_be_kept_is_not_recovered(server: Server, since: int, epoch: str | None) -> None:
    cookie = guest(server)
    room = create_room(server, cookie)
    async with ChatClient(server, cookie) as client:
        reply = await client.subscribe(room, since=since, epoch=epoch)
        assert not reply["recovered"]
        await client.post(room, "new")
        await client.heard(room, 2)
        assert client.texts(room) == ["new"]


async def test_who_is_more_than_a_thousand_behind_reloads(unlimited: Server) -> None:
    server = unlimited
    cookie = guest(server)
    room = create_room(server, cookie)
    async with ChatClient(server, cookie) as client:
        for number in range(1_001):
            await client.send(type="post", room=room, id=f"p{number}", text=str(number))
        await client.frame(lambda frame: frame.get("id") == "p1000")
    async with ChatClient(server, cookie) as late:
        assert not (await late.subscribe(room, since=1))["recovered"]
    async with ChatClient(server, cookie) as later:
        assert (await later.subscribe(room, since=2))["recovered"]
        await later.heard(room, 1_002)
        later.assert_whole(room)


async def test_after_unsubscribe_nothing_comes(server: Server) -> None:
    cookie = guest(server)
    room = create_room(server, cookie)
    async with ChatClient(server, cookie) as client, ChatClient(server, cookie) as writer:
        await client.subscribe(room)
        await client.send(type="unsubscribe", room=room)
        with pytest.raises(Refused) as refused:
            await client.command(type="unsubscribe", room=room)
        assert refused.value.code == "not_found"
        await writer.post(room, "unheard")
        await asyncio.sleep(0.2)
        assert client.events(room) == []


async def test_typing_reaches_the_others_without_an_offset_and_not_too_often(server: Server) -> None:
    ann, bob = guest(server, name := unique("ann")), guest(server)
    room = create_room(server, ann)
    async with ChatClient(server, ann) as a, ChatClient(server, bob) as b:
        await a.subscribe(room)
        await b.subscribe(room)
        await asyncio.sleep(0.1)
        for _ in range(5):
            await a.send(type="typing", room=room)
        event = await b.frame(lambda frame: frame["type"] == "typing")
        assert event == {"type": "typing", "room": room, "user": {"id": event["user"]["id"], "name": name}}
        await asyncio.sleep(0.2)
        assert len([frame for frame in b.frames if frame["type"] == "typing"]) == 1


async def test_read_marks_move_forward_only_and_not_beyond_the_head(server: Server) -> None:
    cookie = guest(server)
    room = create_room(server, cookie)
    async with ChatClient(server, cookie) as tab, ChatClient(server, cookie) as other:
        await tab.subscribe(room)
        await other.subscribe(room)
        await tab.post(room, "one")
        await tab.post(room, "two")
        await asyncio.sleep(0.1)
        for offset in (2, 1, 99):
            await tab.send(type="read", room=room, offset=offset)
        event = await other.frame(lambda frame: frame["type"] == "read" and frame["offset"] == 3)
        assert set(event) == {"type", "room", "user", "offset"}
        assert [frame["offset"] for frame in other.frames if frame["type"] == "read"] in ([2, 2, 3], [3, 3, 3])


BAD = [
    ("not json", "invalid_message"),
    ("[]", "invalid_message"),
    ("42", "invalid_message"),
    ('{"type":"dance"}', "invalid_message"),
    ('{"room":"lobby"}', "invalid_message"),
    ('{"type":"subscribe"}', "invalid_message"),
    ('{"type":"subscribe","room":5}', "invalid_message"),
    ('{"type":"subscribe","room":"lobby","since":"1"}', "invalid_message"),
    ('{"type":"subscribe","room":"lobby","since":-1}', "invalid_message"),
    ('{"type":"subscribe","room":"lobby","since":1e400}', "invalid_message"),
    ('{"type":"subscribe","room":"lobby","since":99999999999999999999999}', "invalid_message"),
    ('{"type":"subscribe","room":"no-such-room"}', "not_found"),
    ('{"type":"subscribe","room":"chat.room:1"}', "not_found"),
    ('{"type":"subscribe","room":"a\\u0000b"}', "invalid_message"),
    ('{"type":"post","room":"a\\u0000b","id":"x","text":"hi"}', "invalid_message"),
    ('{"type":"post","room":"lobby","text":"no id"}', "invalid_message"),
    ('{"type":"post","room":"lobby","id":"x","text":5}', "invalid_message"),
    ('{"type":"post","room":"lobby","id":"x","text":""}', "invalid_message"),
    ('{"type":"post","room":"lobby","id":"x","text":" \\n\\t "}', "invalid_message"),
    ('{"type":"post","room":"lobby","id":"x","text":"a\\u0000b"}', "invalid_message"),
    ('{"type":"post","room":"lobby","id":"x","text":"\\ud800"}', "invalid_message"),
    ('{"type":"post","room":"lobby","id":"' + "x" * 65 + '","text":"hi"}', "invalid_message"),
    ('{"type":"post","room":"no-such-room","id":"x","text":"hi"}', "not_found"),
    ('{"type":"post","room":"lobby","id":"x","text":"' + "x" * 4_001 + '"}', "too_long"),
    ('{"type":"post","room":"lobby","id":"x","text":"' + "x" * 60_000 + '"}', "too_long"),
    ('{"type":"typing","room":"lobby"}', "not_found"),
    ('{"type":"read","room":"lobby","offset":1}', "not_found"),
    ('{"type":"read","room":"lobby","offset":-5}', "invalid_message"),
    ("[" * 20_000, "invalid_message"),
    ('{"type":"post",' * 3_000, "invalid_message"),
    (b"\x00\x01\x02", "invalid_message"),
    (b'{"type":"subscribe","room":"lobby"}', "invalid_message"),
]


@pytest.mark.parametrize(("bad", "code"), BAD, ids=lambda value: str(value)[:60])
async def test_bad_input_gets_its_error_and_harms_nobody(server: Server, bad: str | bytes, code: str) -> None:
    cookie = guest(server)
    async with connect(server.ws("ws/chat/"), cookie) as socket:
        await socket.send(bad)
        error = await socket.recv_json()
        assert (error["type"], error["code"]) == ("error", code)
        assert isinstance(error["detail"], str)
        await socket.send_json({"type": "subscribe", "room": "lobby", "id": "after"})
        assert (await socket.recv_json())["id"] == "after"


async def test_an_error_names_the_command_it_answers(server: Server) -> None:
    async with connect(server.ws("ws/chat/"), guest(server)) as socket:
        await socket.send_json({"type": "post", "id": "c-9", "room": "lobby", "text": 5})
        assert (await socket.recv_json())["id"] == "c-9"
        await socket.send_json({"type": "nonsense", "id": {"an": "object"}})
        assert "id" not in await socket.recv_json()


async def test_a_frame_over_64_kib_closes_the_connection_that_sent_it(server: Server) -> None:
    async with (
        connect(server.ws("ws/chat/"), guest(server)) as socket,
        connect(server.ws("ws/chat/"), guest(server)) as other,
    ):
        await socket.send(json.dumps({"type": "post", "room": "lobby", "id": "x", "text": "x" * 70_000}))
        code, _ = await socket.closed()
        assert code == 1009
        await other.send_json({"type": "subscribe", "room": "lobby", "id": "fine"})
        assert (await other.recv_json())["id"] == "fine"


@pytest.fixture(scope="module")
def strict(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Five messages at once, and then one a second."""
    own = Server(tmp_path_factory.mktemp("strict"), template, WEBSOCKET_RATE=1, WEBSOCKET_BURST=5)
    with running(own, servers) as shared:
        yield shared


async def test_who_is_too_fast_is_told_when_to_try_again(strict: Server) -> None:
    async with ChatClient(strict, guest(strict)) as client:
        for number in range(15):
            await client.send(type="post", room="lobby", id=f"p{number}", text="fast")
        await client.frame(lambda _: len([frame for frame in client.frames if "id" in frame]) == 15)
        acks = [frame for frame in client.frames if frame["type"] == "ack"]
        errors = [frame for frame in client.frames if frame["type"] == "error"]
        assert len(acks) + len(errors) == 15
        assert 5 <= len(acks) < 15
        assert {error["code"] for error in errors} == {"rate_limited"}
        assert all(0 < error["retry_after"] <= 1 for error in errors)
    stored = strict.python(
        "from chat.models import Message; print(json.dumps(Message.objects.filter(text='fast').count()))"
    )
    assert stored == len(acks)


async def posted(client: ChatClient) -> int:
    """Posts more than anybody may at once: how many were taken, one for every second that has passed."""
    posts = (client.post("lobby", str(number)) for number in range(10))
    replies = await asyncio.gather(*posts, return_exceptions=True)
    assert {reply.code for reply in replies if isinstance(reply, Refused)} == {"rate_limited"}
    return len([reply for reply in replies if isinstance(reply, dict)])


async def test_the_limit_is_a_persons_however_many_connections(strict: Server) -> None:
    cookie = guest(strict)
    async with ChatClient(strict, cookie) as one, ChatClient(strict, cookie) as two:
        assert await posted(one) >= 5
        assert await posted(two) < 5


async def test_who_does_not_stop_is_closed_with_4429(strict: Server) -> None:
    async with connect(strict.ws("ws/chat/"), guest(strict)) as socket:
        for _ in range(150):
            await socket.send("{}")
        code, _ = await socket.closed()
    assert code == 4429


async def test_posting_to_a_public_room_joins_it_and_says_so(server: Server) -> None:
    ann, bob = guest(server), guest(server, name := unique("bob"))
    room = create_room(server, ann)
    async with ChatClient(server, ann) as a, ChatClient(server, bob) as b:
        await a.subscribe(room)
        await b.post(room, "hello")
        await a.heard(room, 3)
        added, created = a.events(room)
        assert added["type"] == "member.added"
        assert added["user"]["name"] == name
        assert created["type"] == "message.created"
    with browser(server.url, cookies=cookies(bob)) as asking:
        rooms = asking.get("/api/rooms/").json()["rooms"]
    assert next(each for each in rooms if each["slug"] == room)["member"]


async def test_a_page_and_the_events_after_it_fit_together(server: Server) -> None:
    cookie = guest(server)
    room = create_room(server, cookie)
    async with ChatClient(server, cookie) as client:
        for number in range(5):
            await client.post(room, str(number))
        with browser(server.url, cookies=cookies(cookie)) as asking:
            page: dict[str, Any] = asking.get(f"/api/rooms/{room}/messages/?limit=3").json()
        await client.post(room, "after the page")
        reply = await client.subscribe(room, since=page["offset"], epoch=page["epoch"])
        assert reply["recovered"]
        await client.heard(room, 7)
        assert [message["text"] for message in page["messages"]] == ["2", "3", "4"]
        assert [message["offset"] for message in page["messages"]] == [4, 5, 6]
        assert client.texts(room) == ["after the page"]


async def test_a_page_made_for_one_person_does_not_speak_for_another(server: Server) -> None:
    cookie = guest(server)
    async with connect(server.ws("ws/chat/?as=999999999"), cookie) as socket:
        code, _ = await socket.closed()
    assert code == 4401


async def test_coming_back_does_not_fill_the_bucket(strict: Server) -> None:
    cookie = guest(strict)
    async with ChatClient(strict, cookie) as client:
        assert await posted(client) >= 5
    async with ChatClient(strict, cookie) as again:
        assert await posted(again) < 5


def test_a_person_who_is_here_keeps_one_bucket_however_many_come_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "_buckets", {})
    monkeypatch.setattr(consumers, "BUCKETS", 10)
    first_tab = consumers.bucket_of(-1)
    for person in range(-20, -1):
        consumers.bucket_of(person)
    assert consumers.bucket_of(-1) is first_tab
    assert len(consumers._buckets) <= 10
    assert -20 not in consumers._held, "what nobody holds is not kept"


async def test_parameters_beyond_counting_are_ignored(server: Server) -> None:
    query = "&".join(f"p{number}=1" for number in range(2_000))
    async with connect(server.ws(f"ws/feed/?{query}&since=0")) as socket:
        await socket.silent(0.2)
