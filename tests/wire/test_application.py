"""The other side of the wire: what an ASGI application sends is what the client sees, and what it is told is true.

Each test hands a script to the application at ws/scripted/ (tests/mounted/scripted.py) and reads its diary afterwards.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from tests.helpers import Server, unique
from tests.wire import frames
from tests.wire.client import Response, Target, Wire, wire
from tests.wire.frames import Message, Opcode
from tests.wire.limits import HASTE, LINGER

ACCEPT = {"type": "websocket.accept"}
RAISE = {"type": "raise"}
RECEIVE = {"type": "receive"}
FAILED = 1011
AT_ONCE = 0.5  # seconds: five times what the product promises, on a busy machine


def send(text: str) -> dict[str, str]:
    return {"type": "websocket.send", "text": text}


def close(code: int, reason: str | None = None) -> dict[str, Any]:
    return {"type": "websocket.close", "code": code} | ({} if reason is None else {"reason": reason})


class Play:
    """One run of a script: where it is played, and what the application wrote down."""

    def __init__(self, server: Server, *script: dict[str, Any]) -> None:
        self.server, self.name = server, unique("play")
        self.target = Target(server.port, f"/ws/scripted/{self.name}/?{quote(json.dumps(script))}")

    async def diary(self) -> list[dict[str, Any]]:
        """All that happened to the application, once it has ended, but for its first and last entries."""
        async with Target(self.server.port, f"/ws/diary/{self.name}/").open() as connection:
            written = json.loads((await connection.receive()).payload)
        assert written[-1] == {"type": "ended"}
        return [entry for entry in written[:-1] if entry["type"] != "websocket.connect"]

    async def error(self) -> str:
        """What the application's `send` raised."""
        errors = [entry for entry in await self.diary() if entry["type"] == "error"]
        assert len(errors) == 1, errors
        assert errors[0]["detail"]
        return str(errors[0]["error"])

    async def disconnect_code(self) -> int:
        disconnects = [entry for entry in await self.diary() if entry["type"] == "websocket.disconnect"]
        assert len(disconnects) == 1, disconnects
        return int(disconnects[0]["code"])


@asynccontextmanager
async def bystander(server: Server) -> AsyncIterator[None]:
    """Another connection, that must live through whatever happens meanwhile."""
    async with Target(server.port, "/ws/polite/").open() as connection:
        yield
        await connection.send(frames.text("unharmed"))
        assert await connection.receive() == Message(Opcode.TEXT, b"unharmed")
        await connection.bye()


async def closed(connection: Wire) -> Message:
    """The close frame, answered; then the connection ends."""
    closing = (await connection.until_close())[-1]
    await connection.send(frames.close(closing.code))
    await connection.ended()
    return closing


# What the application is told -----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1013, 3000, 4001, 4999])
async def test_h08_the_disconnect_code_is_the_clients(application: Server, code: int) -> None:
    play = Play(application, ACCEPT)
    async with play.target.open() as connection:
        await connection.send(frames.close(code, "why"))
        assert (await connection.until_close())[-1].code == code
    assert await play.disconnect_code() == code


async def test_h08_the_reason_arrives_with_it(application: Server) -> None:
    play = Play(application, ACCEPT)
    async with play.target.open() as connection:
        await connection.send(frames.close(4001, "bored 🐢"))
        await connection.until_close()
    [disconnect] = await play.diary()
    assert disconnect == {"type": "websocket.disconnect", "code": 4001, "reason": "bored 🐢"}


async def test_h09_a_close_without_a_status_is_1005(application: Server) -> None:
    play = Play(application, ACCEPT)
    async with play.target.open() as connection:
        await connection.send(frames.close(None))
        await connection.until_close()
    assert await play.disconnect_code() == 1005


@pytest.mark.parametrize("end", ["a reset", "an end without a close frame"])
async def test_h09_a_dropped_connection_is_1006(application: Server, end: str) -> None:
    play = Play(application, ACCEPT)
    async with play.target.open() as connection:
        if end == "a reset":
            connection.drop()
    assert await play.disconnect_code() == 1006


@pytest.mark.parametrize(
    ("stream", "code"),
    [(frames.frame(3), 1002), (frames.frame(Opcode.TEXT, b"\xff"), 1007), (frames.frame(1, b"", mask=None), 1002)],
)
async def test_h09_after_a_violation_the_application_is_told_too(application: Server, stream: bytes, code: int) -> None:
    play = Play(application, ACCEPT)
    async with play.target.open() as connection:
        await connection.send(stream)
        assert (await closed(connection)).code == code
    assert await play.disconnect_code() in (code, 1006)


async def test_h09_each_end_is_told_once(application: Server) -> None:
    plays = [Play(application, ACCEPT) for _ in range(20)]

    async def leave(number: int, play: Play) -> None:
        async with play.target.open() as connection:
            await connection.send(frames.text("x") * number)
            if number % 2:
                await connection.send(frames.close(4000))

    await asyncio.gather(*(leave(number, play) for number, play in enumerate(plays)))
    codes = await asyncio.gather(*(play.disconnect_code() for play in plays))
    assert codes == [4000 if number % 2 else 1006 for number in range(20)]


@pytest.mark.parametrize("size", [1, 60_000, 300_000])
async def test_what_a_client_sends_before_it_is_accepted_is_not_lost(application: Server, size: int) -> None:
    """It must wait for the answer, RFC 6455 section 4.1; one that does not is made to wait."""
    play = Play(application, {"type": "sleep", "seconds": 0.3}, ACCEPT, RECEIVE, RECEIVE, send("heard"))
    async with wire(application.port) as connection:
        await connection.send(play.target.handshake())
        await asyncio.sleep(0.1)
        sending = asyncio.create_task(connection.send(frames.binary(b"x" * size)))
        assert (await connection.response()).status == 101
        assert await connection.receive() == Message(Opcode.TEXT, b"heard")
        await sending
        await connection.bye()
    message, _ = await play.diary()
    assert len(message["bytes"]) == size


# What the application sends -------------------------------------------------------------------------------------


async def test_z03_h27_empty_text_and_empty_bytes_are_sent(application: Server) -> None:
    play = Play(application, ACCEPT, send(""), {"type": "websocket.send", "bytes": ""}, send("end"))
    async with play.target.open() as connection:
        expected = [(Opcode.TEXT, b""), (Opcode.BINARY, b""), (Opcode.TEXT, b"end")]
        assert await connection.receive_many(3) == [Message(kind, content) for kind, content in expected]
        await connection.bye()


async def test_z03_empty_text_and_bytes_arrive_at_every_subscriber(application: Server) -> None:
    target = Target(application.port, "/ws/broadcast/")
    async with target.open() as sender, target.open() as reader:
        marker = unique("ready").encode()
        await sender.send(
            frames.frame(Opcode.TEXT, marker) + frames.text("") + frames.binary(b"") + frames.text("a\0b")
        )
        expected = [(Opcode.TEXT, marker), (Opcode.TEXT, b""), (Opcode.BINARY, b""), (Opcode.TEXT, b"a\0b")]
        for connection in (sender, reader):
            assert await connection.receive_many(4) == [Message(kind, content) for kind, content in expected]


async def test_h11_text_and_bytes_keep_their_kind(application: Server) -> None:
    script = [ACCEPT, RECEIVE, RECEIVE, RECEIVE, send("text"), {"type": "websocket.send", "bytes": "bytes"}]
    play = Play(application, *script)
    async with play.target.open() as connection:
        await connection.send(frames.text("a") + frames.binary(b"b"))
        assert await connection.receive() == Message(Opcode.TEXT, b"text")
        assert await connection.receive() == Message(Opcode.BINARY, b"bytes")
        await connection.bye()
    text, data, _ = await play.diary()
    assert (text["text"], text.get("bytes")) == ("a", None)
    assert (data["bytes"], data.get("text")) == ("b", None)


@pytest.mark.parametrize(
    "content",
    [{"text": "a", "bytes": None}, {"text": None, "bytes": "a"}],
    ids=["bytes: None", "text: None"],
)
async def test_h11_none_is_the_kind_that_it_is_not(application: Server, content: dict[str, str | None]) -> None:
    async with Play(application, ACCEPT, {"type": "websocket.send", **content}).target.open() as connection:
        assert (await connection.receive()).payload == b"a"


@pytest.mark.parametrize("reason", [None, "", "enough", "長い 🐢"])
async def test_h13_code_and_reason_arrive(application: Server, reason: str | None) -> None:
    play = Play(application, ACCEPT, send("last"), close(4321, reason))
    async with play.target.open() as connection:
        assert await connection.receive() == Message(Opcode.TEXT, b"last")
        closing = await closed(connection)
    assert (closing.code, closing.reason) == (4321, reason or "")


async def test_h13_a_close_without_a_code_is_1000(application: Server) -> None:
    async with Play(application, ACCEPT, {"type": "websocket.close"}).target.open() as connection:
        assert (await closed(connection)).code == 1000


async def test_h13_a_close_is_not_late_where_the_client_does_not_answer_it(application: Server) -> None:
    play = Play(application, ACCEPT, close(4000))
    began = time.monotonic()
    async with play.target.open() as connection:
        assert (await connection.until_close())[-1].code == 4000
        await connection.ended()
    assert time.monotonic() - began >= LINGER, "the client had that long to answer"
    await play.diary()


@pytest.mark.parametrize("script", [[close(1000)], [close(4403, "no")], [RECEIVE, close(1000)]], ids=str)
async def test_h14_a_close_before_accept_is_403(application: Server, script: list[dict[str, Any]]) -> None:
    assert (await Play(application, *script).target.shake()).status == 403


# An error for that application alone ----------------------------------------------------------------------------


@pytest.mark.logs_errors
async def test_h12_sending_before_accept_is_an_error(application: Server) -> None:
    async with bystander(application):
        play = Play(application, send("too early"))
        assert (await play.target.shake()).status in (403, 500)
        assert await play.error()


WRONG = {
    "a second accept": [ACCEPT],
    "an unknown type": [{"type": "websocket.surprise"}],
    "an event of HTTP": [{"type": "http.response.start", "status": 200, "headers": []}],
    "text and bytes together": [{"type": "websocket.send", "text": "a", "bytes": "b"}],
    "neither text nor bytes": [{"type": "websocket.send"}],
    "text that is a number": [{"type": "websocket.send", "text": 42}],
}


@pytest.mark.logs_errors
@pytest.mark.parametrize("script", WRONG.values(), ids=list(WRONG))
async def test_h15_what_the_specification_forbids_is_an_error(application: Server, script: list[Any]) -> None:
    async with bystander(application):
        play = Play(application, ACCEPT, send("before"), *script, send("after"))
        async with play.target.open() as connection:
            assert await connection.receive() == Message(Opcode.TEXT, b"before")
            closing = await closed(connection)
        assert closing.code == FAILED
        assert await play.error()


@pytest.mark.logs_errors
@pytest.mark.parametrize("late", [send("late"), {"type": "websocket.send", "bytes": "late"}, ACCEPT], ids=str)
async def test_h15_after_its_own_close_an_application_may_send_no_more(
    application: Server, late: dict[str, Any]
) -> None:
    async with bystander(application):
        play = Play(application, ACCEPT, close(4000), late)
        async with play.target.open() as connection:
            [closing] = await connection.until_close()
            assert closing.code == 4000
        assert await play.error()


@pytest.mark.logs_errors
@pytest.mark.parametrize("before", [[], [send("first")], [RECEIVE]], ids=["at once", "after a send", "after connect"])
async def test_h42_an_exception_is_1011_at_once_and_tells_nothing(application: Server, before: list[Any]) -> None:
    async with bystander(application):
        took = []
        for _ in range(3):
            play = Play(application, ACCEPT, *before, RAISE)
            async with play.target.open() as connection:
                started = time.monotonic()
                came = await connection.until_close()
                took.append(time.monotonic() - started)
                await connection.send(frames.close(FAILED))
                await connection.ended()
            assert came[-1].code == FAILED
            assert "secret" not in came[-1].reason
            assert await play.error() == "RuntimeError"  # and its `finally` has run
        assert min(took) < AT_ONCE


@pytest.mark.logs_errors
async def test_h42_an_exception_before_accept_is_500(application: Server) -> None:
    async with bystander(application):
        answer = await Play(application, RAISE).target.shake()
    assert answer.status == 500
    assert b"secret" not in answer.body


@pytest.mark.logs_errors
async def test_h43_a_failing_handler_does_not_skip_disconnect(application: Server) -> None:
    play = Play(application)
    async with bystander(application), Target(application.port, f"/ws/failing/{play.name}/").open() as connection:
        await connection.send(frames.text("fail"))
        closing = await closed(connection)
    assert (closing.code, "secret" in closing.reason) == (FAILED, False)
    assert await play.diary() == [{"type": "disconnect", "code": FAILED}]


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    ("kind", "message"),
    [("json", '"fail"'), ("json", "no JSON"), ("json", '"by the layer"'), ("sync", '"fail"'), ("twice", '"fail"')],
)
async def test_h43_a_consumer_by_channels_alone_is_disconnected_once(
    application: Server, kind: str, message: str
) -> None:
    play = Play(application)
    target = Target(application.port, f"/ws/failing/{kind}/{play.name}/")
    async with bystander(application), target.open() as connection:
        await connection.send(frames.text("null") + frames.text(message))
        closing = await closed(connection)
    assert (closing.code, "secret" in closing.reason) == (FAILED, False)
    assert await play.diary() == [{"type": "disconnect", "code": FAILED}]


@pytest.mark.logs_errors
@pytest.mark.parametrize("kind", ["json", "sync", "twice"])
async def test_h43_a_consumer_that_has_been_disconnected_is_not_again(application: Server, kind: str) -> None:
    play = Play(application)
    async with Target(application.port, f"/ws/failing/{kind}/{play.name}/").open() as connection:
        await connection.send(frames.text("null"))
        await connection.bye()
    assert await play.diary() == [{"type": "disconnect", "code": 1000}]


# Codes and reasons ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4403, 4999]
)
async def test_h44_every_legal_code_is_sent_as_it_is(application: Server, code: int) -> None:
    async with Play(application, ACCEPT, close(code, "why")).target.open() as connection:
        closing = await closed(connection)
    assert (closing.code, closing.reason) == (code, "why")


@pytest.mark.logs_errors
@pytest.mark.parametrize("code", [-1, 0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_536])
async def test_h44_an_illegal_code_is_an_error_for_that_application_alone(application: Server, code: int) -> None:
    async with bystander(application):
        play = Play(application, ACCEPT, close(code))
        async with play.target.open() as connection:
            assert (await closed(connection)).code == FAILED
        assert await play.error()


@pytest.mark.parametrize(
    ("reason", "seen"),
    [
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("x" * 5_000, "x" * 123),
        ("é" * 62, "é" * 61),
        ("x" + "長" * 41, "x" + "長" * 40),
        ("🐢" * 31, "🐢" * 30),
        ("x" * 121 + "🐢", "x" * 121),
    ],
    ids=["fits", "one over", "far over", "two bytes", "three bytes", "four bytes", "the last of four"],
)
async def test_h45_a_long_reason_is_cut_between_characters(application: Server, reason: str, seen: str) -> None:
    async with Play(application, ACCEPT, close(4000, reason)).target.open() as connection:
        closing = await closed(connection)
    assert (closing.code, closing.reason) == (4000, seen)


# Refusals of the application's own choosing ---------------------------------------------------------------------


def denial(status: int, *bodies: str, headers: list[list[str]] | None = None) -> list[dict[str, Any]]:
    """The ASGI extension websocket.http.response."""
    kind = "websocket.http.response"
    parts = [{"type": f"{kind}.body", "body": body, "more_body": True} for body in bodies[:-1]]
    return [
        {"type": f"{kind}.start", "status": status, "headers": headers or []},
        *parts,
        {"type": f"{kind}.body", "body": bodies[-1]},
    ]


@pytest.mark.parametrize("status", [400, 401, 404, 409, 429, 503])
async def test_h14_an_application_may_refuse_with_a_status_and_a_body(application: Server, status: int) -> None:
    headers = [["content-type", "text/plain"], ["x-why", "because"]]
    answer: Response = await Play(application, *denial(status, "not like this", headers=headers)).target.shake()
    assert (answer.status, answer.body) == (status, b"not like this")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-why"] == "because"


async def test_h14_the_body_may_come_in_parts(application: Server) -> None:
    answer = await Play(application, *denial(401, "log ", "in ", "first")).target.shake()
    assert (answer.status, answer.body) == (401, b"log in first")


async def test_h14_the_scope_says_that_this_is_possible(application: Server) -> None:
    async with Target(application.port, "/ws/scope/").open() as connection:
        told = json.loads((await connection.receive()).payload)
    assert "websocket.http.response" in told["extensions"]


# Idle -----------------------------------------------------------------------------------------------------------


async def test_h46_a_silent_client_is_closed_with_4408(hasty: Server) -> None:
    started = time.monotonic()
    async with Target(hasty.port, "/ws/polite/").open() as connection:
        closing = (await connection.until_close())[-1]
        took = time.monotonic() - started
        await connection.send(frames.close(closing.code))
        await connection.ended()
    assert closing.code == 4408
    assert HASTE <= took < HASTE + 3


@pytest.mark.parametrize(
    "sign_of_life",
    [frames.text("x"), frames.ping(), frames.frame(Opcode.PONG), b"\x81"],
    ids=["messages", "pings", "pongs", "a byte at a time"],
)
async def test_h46_whatever_the_client_sends_keeps_it(hasty: Server, sign_of_life: bytes) -> None:
    """A frame's first byte, then nine more of it, are bytes from the client as well."""
    slow = [bytes([byte]) for byte in frames.text("x" * 4)]
    async with Target(hasty.port, "/ws/polite/").open() as connection:
        for number in range(9):
            await connection.send(slow[number] if sign_of_life == b"\x81" else sign_of_life)
            await asyncio.sleep(HASTE / 4)
        await connection.send(slow[9] if sign_of_life == b"\x81" else frames.text("xxxx"))
        while (came := await connection.receive()) != Message(Opcode.TEXT, b"xxxx"):
            assert came.opcode != Opcode.CLOSE, came
        await connection.bye()


async def test_h46_what_the_server_sends_does_not_keep_a_silent_client(hasty: Server) -> None:
    target = Target(hasty.port, "/ws/broadcast/")
    async with target.open() as silent, target.open() as talker:

        async def talk() -> None:
            while True:
                await talker.send(frames.text("chatter"))
                await asyncio.sleep(HASTE / 5)

        talking = asyncio.create_task(talk())
        try:
            *heard, closing = await silent.until_close()
        finally:
            talking.cancel()
            await asyncio.wait([talking])
    assert heard
    assert closing.code == 4408
