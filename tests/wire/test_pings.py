"""Pings and pongs, RFC 6455 sections 5.5.2 and 5.5.3."""

import os

import pytest

from tests.wire import frames
from tests.wire.client import Everywhere
from tests.wire.frames import Message, Opcode


@pytest.mark.parametrize("payload", [b"", b"a", b"\x00\xff\xfe not UTF-8", os.urandom(124), os.urandom(125)], ids=len)
async def test_h54_a_ping_comes_back_as_a_pong(echo: Everywhere, payload: bytes) -> None:
    await echo.answers(frames.ping(payload), [Message(Opcode.PONG, payload)])


async def test_h54_a_train_of_pings_is_answered_in_order(echo: Everywhere) -> None:
    payloads = [b"%d" % number for number in range(500)]
    await echo.answers(b"".join(map(frames.ping, payloads)), [Message(Opcode.PONG, payload) for payload in payloads])


@pytest.mark.parametrize("payload", [b"", b"unasked", b"x" * 125], ids=len)
async def test_h54_an_unasked_pong_is_ignored(echo: Everywhere, payload: bytes) -> None:
    stream = frames.frame(Opcode.PONG, payload) * 3 + frames.text("next")
    await echo.answers(stream, [Message(Opcode.TEXT, b"next")])


async def test_a_ping_after_a_message_does_not_disturb_it(echo: Everywhere) -> None:
    """Which of the two is answered first is the server's affair."""

    async def both(target, piece=None):
        async with target.open() as connection:
            await connection.send(frames.text("a") + frames.ping(b"1") + frames.text("b") + frames.ping(b"2"), piece)
            came = await connection.receive_many(4)
            await connection.bye()
        assert [message.payload for message in came if message.opcode == Opcode.TEXT] == [b"a", b"b"]
        assert [message.payload for message in came if message.opcode == Opcode.PONG] == [b"1", b"2"]

    for target in echo.targets.values():
        for piece in (None, 1, 3):
            await both(target, piece)
