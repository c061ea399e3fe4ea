"""Pings and pongs, RFC 6455 sections 5.5.2 and 5.5.3."""

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import cast

import pytest

from tests.helpers import PATIENCE, Server, running
from tests.wire import frames
from tests.wire.client import Everywhere, Wire, handshake
from tests.wire.frames import Message, Opcode


class FullServer(Server):
    """Its kernel's buffer is full when a ping comes, and has room again before the loop turns."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.wire.full", f"tcp:port={self.port}:interface=127.0.0.1"]

    async def says(self, word: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while word not in self.log().split():
                await asyncio.sleep(0.01)


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


async def test_a_pong_that_the_kernel_does_not_take_leaves_before_what_follows(
    servers: list[Server], tmp_path: Path
) -> None:
    """An event that went straight to the socket would overtake it, or tear it apart."""
    server = FullServer(tmp_path)
    with running(server, servers):
        endpoint = socket.socket()
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        endpoint.setblocking(False)
        await asyncio.get_running_loop().sock_connect(endpoint, ("127.0.0.1", server.port))
        connection = Wire(*await asyncio.open_connection(sock=endpoint, limit=1 << 16))
        reading = cast(asyncio.ReadTransport, connection.writer.transport)
        await connection.send(handshake(server.port, "/"))
        assert (await connection.response()).status == 101
        reading.pause_reading()
        await server.says("full")
        await connection.send(frames.ping(b"?"))
        await server.says("held")
        reading.resume_reading()
        came: list[Message] = []
        while not came or came[-1].payload != b"again":
            came += [message for message in await connection.receive_many(1) if message.payload[:1] != b"x"]
        assert [message.payload for message in came] == [b"first", b"?", b"event", b"again"]
        connection.drop()
