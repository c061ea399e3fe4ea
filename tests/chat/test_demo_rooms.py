"""Rooms from the path, and bad input: rows H16 to H26 of the checklist, but for H22, which needs two servers."""

import asyncio
from urllib.parse import quote

import pytest

from tests.helpers import Server, connect, unique


def room(server: Server, name: str) -> str:
    return server.ws(f"ws/rooms/{quote(name)}/")


async def test_h16_h17_rooms_come_from_the_path_and_are_isolated(server: Server) -> None:
    one, two = unique("one"), unique("two")
    async with (
        connect(room(server, one)) as a,
        connect(room(server, one)) as b,
        connect(room(server, two)) as other,
    ):
        await a.send_json({"user": "ann", "text": "hi"})
        expected = {"type": "message", "user": "ann", "text": "hi"}
        assert await a.recv_json() == expected
        assert await b.recv_json() == expected
        await other.silent()


async def test_h16_the_path_alone_is_the_default_room(server: Server) -> None:
    async with connect(server.ws("ws/rooms/")) as a, connect(room(server, "default")) as b:
        text = unique("hi")
        await a.send_json({"text": text})
        assert (await b.recv_json())["text"] == text


async def test_h18_silent_listeners_receive(server: Server) -> None:
    name = unique("room")
    async with connect(room(server, name)) as speaker, connect(room(server, name)) as listener:
        for number in range(3):
            await speaker.send_json({"user": "ann", "text": str(number)})
        assert [(await listener.recv_json())["text"] for _ in range(3)] == ["0", "1", "2"]


async def test_h19_h20_leaving_unsubscribes_and_disturbs_nobody(server: Server) -> None:
    name = unique("room")
    async with connect(room(server, name)) as stays:
        async with connect(room(server, name)) as leaves:
            await leaves.send_json({"text": "bye"})
            await stays.recv_json()
        await stays.send_json({"text": "alone"})
        assert (await stays.recv_json())["text"] == "alone"


@pytest.mark.parametrize("name", ["Überraschung", "房间", "a b", "x" * 300])
async def test_h21_any_name_makes_a_room(server: Server, name: str) -> None:
    async with connect(room(server, name)) as a, connect(room(server, name)) as b:
        await a.send_json({"text": "here"})
        assert (await b.recv_json())["text"] == "here"


@pytest.mark.parametrize(
    ("sent", "user", "text"),
    [
        ({"text": "hi"}, "anonymous", "hi"),
        ({"user": "ann"}, "ann", ""),
        ({}, "anonymous", ""),
        ({"x": 1}, "anonymous", ""),
    ],
)
async def test_h23_a_missing_user_is_anonymous_and_a_missing_text_empty(
    server: Server, sent: dict[str, object], user: str, text: str
) -> None:
    async with connect(room(server, unique("room"))) as socket:
        await socket.send_json(sent)
        assert await socket.recv_json() == {"type": "message", "user": user, "text": text}


@pytest.mark.parametrize(
    "bad",
    ["not json", "[1, 2]", "42", "null", '"text"', '{"text": 5}', '{"user": null}', "{", b"\x00\x01", "[" * 5_000],
)
async def test_h24_bad_input_is_an_error_to_its_sender_and_nothing_to_the_room(
    server: Server, bad: str | bytes
) -> None:
    name = unique("room")
    async with connect(room(server, name)) as sender, connect(room(server, name)) as other:
        await sender.send(bad)
        error = await sender.recv_json()
        assert (error["type"], error["code"]) == ("error", "invalid_message")
        assert error["detail"]
        await other.silent(0.1)
        await sender.send_json({"text": "still here"})
        assert (await other.recv_json())["text"] == "still here"


async def test_h25_h26_many_rooms_at_once_keep_apart(server: Server) -> None:
    names = [unique("room") for _ in range(10)]
    opened = [connect(room(server, name)) for name in names for _ in range(2)]
    sockets = [await connection.__aenter__() for connection in opened]
    await asyncio.gather(*(socket.send_json({"text": str(index)}) for index, socket in enumerate(sockets)))
    for index, socket in enumerate(sockets):
        pair = {str(index - index % 2), str(index - index % 2 + 1)}
        assert {(await socket.recv_json())["text"], (await socket.recv_json())["text"]} == pair
    for connection in opened:
        await connection.__aexit__(None, None, None)
