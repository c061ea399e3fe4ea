"""The door, in process: what a connection does with what it is given to write."""

import asyncio
from typing import Any

import pytest

from realtime_project.connections import Connection, door
from realtime_project.feeds import Event

SCOPE: dict[str, Any] = {"type": "websocket", "path": "/x/", "headers": [], "client": ["1.2.3.4", 5], "server": None}
MEBIBYTE = "x" * 1024 * 1024


class Wire:
    """A server's `send`; while it is stuck, a writer has to wait."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.free = asyncio.Event()
        self.free.set()

    async def send(self, message: dict[str, Any]) -> None:
        await self.free.wait()
        self.sent.append(message)

    @property
    def kinds(self) -> list[str]:
        return [message["type"].removeprefix("websocket.") for message in self.sent]


@pytest.fixture
def wire() -> Wire:
    return Wire()


def opened(wire: Wire) -> Connection:
    connection = Connection(SCOPE, wire.send, "/x/", "test")
    connection.accepted = True
    return connection


async def test_much_that_is_written_at_once_is_no_sign_of_a_slow_reader(wire: Wire) -> None:
    connection = opened(wire)
    for _ in range(5):
        connection.write([Event(MEBIBYTE)])
    await connection.drain()
    assert wire.kinds == ["send"] * 5


async def test_a_reader_that_lets_too_much_wait_is_closed(wire: Wire) -> None:
    wire.free.clear()
    connection = opened(wire)
    connection.write([Event("first")])
    await asyncio.sleep(0)
    for _ in range(5):
        connection.write([Event(MEBIBYTE)])
    assert connection.closed
    wire.free.set()
    await connection.drain()
    assert wire.kinds == ["send", "close"]
    assert wire.sent[-1]["code"] == 1013


async def test_what_was_written_goes_out_before_the_close_and_nothing_after(wire: Wire) -> None:
    connection = opened(wire)
    connection.send_text("last words")
    connection.close_soon(4401, "log in")
    connection.send_text("unheard")
    await connection.drain()
    assert wire.kinds == ["send", "close"]


async def test_a_failing_application_does_not_swallow_a_close_that_was_ordered(wire: Wire) -> None:
    connection = opened(wire)
    connection.close_soon(4401, "log in")
    assert await connection.fail()
    assert [message.get("code") for message in wire.sent] == [4401]


async def test_an_application_that_returns_closes_its_socket(wire: Wire) -> None:
    async def brief(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "that is all"})

    async def nothing() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    await door(brief, endpoint="/x/")(SCOPE, nothing, wire.send)
    assert wire.kinds == ["accept", "send", "close"]
    assert wire.sent[-1]["code"] == 1000


async def test_sizes_are_bytes_whatever_the_text(wire: Wire) -> None:
    connection = opened(wire)
    connection.write([Event("żółw"), Event(b"1234")])
    assert connection.bytes_out == 7 + 4
    assert not connection.counted({"type": "websocket.receive", "text": "żż"}, 3)
    assert connection.counted({"type": "websocket.receive", "text": "żż"}, 4)
