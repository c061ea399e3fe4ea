"""The example actors, as their visitors meet them: names and the shared store."""

import asyncio
import json

import pytest

from actors.effects import Publish
from actors.examples import Claimed, Named, Unnamed, names
from actors.testing import Place, Play
from tests.helpers import Server, Socket, connect, unique

ASK = "send your name"


async def named(socket: Socket, name: str) -> None:
    """Goes through the door: the prompt, the name. Who is in is told nothing of their own joining."""
    assert await socket.recv() == ASK
    await socket.send(name)


async def becomes(socket: Socket, name: str) -> None:
    """Asks for a name until whoever has it has gone."""
    deadline = asyncio.get_running_loop().time() + 15
    while True:
        await socket.send(name)
        await socket.send(b"who am I?")  # is answered after the name, whatever became of it
        answer = str(await socket.recv())
        if "say it in words" in answer:
            return
        assert "is taken" in answer
        assert ASK in str(await socket.recv())
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.2)


async def joined(others: Socket, name: str) -> None:
    assert await others.recv() == f"* {name} joined"


# names ------------------------------------------------------------------------------------------------------------
async def test_z62_z63_z64_a_room_of_names(own_server: Server) -> None:
    url = own_server.ws("ws/names/")
    async with connect(url) as ann, connect(url) as bob, connect(url) as shy:
        await named(ann, "ann")
        await ann.silent()
        await named(bob, "  bob ")
        await joined(ann, "bob")
        assert await shy.recv() == ASK
        await bob.send("hi")
        assert await ann.recv() == await bob.recv() == "[bob]: hi"
        await ann.send("ünï ☃")
        assert await ann.recv() == await bob.recv() == "[ann]: ünï ☃"
        await shy.silent()
        await bob.close()
        assert await ann.recv() == "* bob left"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "not blank"),
        ("   ", "not blank"),
        ("n" * 41, "at most 40 characters"),
        ("\ufdfa" * 12, "at most 200 letters"),  # which is written out with eighteen each
        ("a\x00b", "no control characters"),
        ("a\u202eb", "no control characters"),
        ("a\nb", "no control characters"),
        (b"bytes", "not binary"),
    ],
)
async def test_z65_a_name_that_is_none_is_refused_with_a_reason(server: Server, name: str | bytes, why: str) -> None:
    async with connect(server.ws("ws/names/")) as socket:
        assert await socket.recv() == ASK
        await socket.send(name)
        answer = str(await socket.recv())
        assert why in answer
        assert answer.endswith(ASK)
        await socket.send(unique("good"))
        await socket.send("hello")
        assert str(await socket.recv()).endswith("]: hello")


async def test_z65_a_name_is_one_persons_while_they_are_there(server: Server) -> None:
    name, url = unique("Zoë"), server.ws("ws/names/")
    async with connect(url) as first:
        await named(first, name)
        await first.send("in")
        assert await first.recv() == f"[{name}]: in"
        async with connect(url) as second:
            await named(second, name.upper().replace("Ë", "E\u0308"))
            assert "is taken" in str(await second.recv())
            await first.close()
            await becomes(second, name)


def test_who_asks_for_a_name_in_vain_is_asked_again_and_keeps_nobody_waiting() -> None:
    play = Play(names, Unnamed())
    play.connect()
    play.tell("ann")
    play.tell("bob")  # waits for what becomes of the first
    said = play.answer(OSError("the database is away"))
    assert said[0] == Publish(Place("out"), f"nobody could say now whether ann is free; {ASK}")
    assert [call.arguments[0] for call in play.calls] == ["ann", "bob"]
    play.answer(Claimed("bob", True))
    assert isinstance(play.state, Named)


async def test_a_name_is_free_again_when_its_server_was_killed(own_server: Server) -> None:
    url = own_server.ws("ws/names/")
    async with connect(url) as first:
        await named(first, "ann")
        await first.send("x")
        await first.recv()
        own_server.kill()
    own_server.start()
    async with connect(url) as second:
        assert await second.recv() == ASK
        await becomes(second, "ann")


async def test_who_returns_with_their_session_returns_with_their_name(server: Server) -> None:
    name, url = unique("eve"), server.ws("ws/names/")
    async with connect(url, subprotocols=["session"]) as socket:
        token = (await socket.recv_json())["token"]
        await named(socket, name)
        await socket.send("one")
        assert await socket.recv() == f"[{name}]: one"
    async with connect(url, subprotocols=["session", f"session.{token}"]) as socket:
        assert (await socket.recv_json())["resumed"] is True
        await socket.send("two")
        assert await socket.recv() == f"[{name}]: two"


COUNT = """
from actors.models import ActorSession, StoreEntry
from realtime_project.models import Connection
print(json.dumps([Connection.objects.filter(endpoint="/ws/names/").count(),
    ActorSession.objects.count(), StoreEntry.objects.filter(store="demo.names").count()]))
"""


async def test_z66_a_hundred_joins_and_leaves_leave_nothing_behind(own_server: Server) -> None:
    url = own_server.ws("ws/names/")

    async def visit(number: int) -> None:
        async with connect(url) as socket:
            await named(socket, f"visitor {number}")
            await socket.send("hello")
            while await socket.recv() != f"[visitor {number}]: hello":
                pass

    for first in range(0, 100, 20):
        await asyncio.gather(*(visit(number) for number in range(first, first + 20)))
    deadline = asyncio.get_running_loop().time() + 10
    while (found := await asyncio.to_thread(own_server.python, COUNT)) != [0, 0, 0]:
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.2)


# the store ----------------------------------------------------------------------------------------------------------
async def test_z46_what_one_stores_another_reads(server: Server) -> None:
    key, url = unique("apples"), server.ws("ws/store/")
    async with connect(url) as ann, connect(url) as bob:
        await ann.send_json({"type": "StoreRequest", "key": key, "value": {"red": [1, 2.5, None]}})
        assert await ann.recv_json() == {"type": "stored", "key": key}
        await bob.send_json({"type": "FetchRequest", "key": key})
        assert await bob.recv_json() == {"type": "fetched", "key": key, "value": {"red": [1, 2.5, None]}}
        await bob.send_json({"type": "FetchRequest", "key": unique("missing")})
        assert (await bob.recv_json())["value"] is None


async def test_z47_what_is_stored_survives_a_restart(own_server: Server) -> None:
    async with connect(own_server.ws("ws/store/")) as socket:
        await socket.send_json({"type": "StoreRequest", "key": "k", "value": "v"})
        await socket.recv()
    own_server.kill()
    own_server.start()
    async with connect(own_server.ws("ws/store/")) as socket:
        await socket.send_json({"type": "FetchRequest", "key": "k"})
        assert (await socket.recv_json())["value"] == "v"


async def test_answers_come_in_the_order_of_the_requests(server: Server) -> None:
    key = unique("k")
    async with connect(server.ws("ws/store/")) as socket:
        for number in range(30):
            await socket.send_json({"type": "StoreRequest", "key": key, "value": number})
            await socket.send_json({"type": "FetchRequest", "key": key})
        answers = [await socket.recv_json() for _ in range(60)]
    assert [answer["value"] for answer in answers if answer["type"] == "fetched"] == list(range(30))


async def test_z49_bad_requests_are_answered_and_harm_nobody(server: Server) -> None:
    async with connect(server.ws("ws/store/")) as socket:
        for bad in (
            '{"type":"StoreRequest","key":7,"value":1}',
            '{"type":"StoreRequest"}',
            '{"type":"DropEverything"}',
            '{"type":"StoreRequest","key":"' + "k" * 300 + '","value":1}',
            "what is this?",
            b"\x00",
        ):
            await socket.send(bad)
            answer = await socket.recv_json()
            assert (answer["type"], answer["code"]) == ("error", "invalid_message"), bad
            assert answer["detail"]
        key = unique("k")
        await socket.send(json.dumps({"type": "StoreRequest", "key": key, "value": 1}))
        assert await socket.recv_json() == {"type": "stored", "key": key}


# reaching one actor from outside --------------------------------------------------------------------------------------
async def test_z24_z25_others_reach_one_client_and_one_actor(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as ann, connect(acted.ws("ws/acted/")) as bob:
        told = await ann.recv_json()
        await bob.recv()
        async with connect(acted.ws("ws/acted/post/")) as postman:
            for topic, content in ((told["topic_out"], "for ann alone"), (told["topic_in"], "add")):
                await postman.send_json([topic, content])
        assert await ann.recv() == "for ann alone"
        assert await ann.recv() == "1"
        await bob.silent()
