"""TLS and unix sockets: what holds over plain TCP, where finished frames go straight to the socket, holds there too."""

import asyncio
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import certificate
from tests.helpers import PATIENCE, Server, free_port
from tests.wire import frames
from tests.wire.client import Target, Wire, handshake
from tests.wire.conftest import MOUNTED
from tests.wire.frames import Message, Opcode
from tests.wire.limits import HASTE
from tests.wire.test_application import ACCEPT, Play, close
from tests.wire.test_floods import resident

MIB = 1024 * 1024
ENDS = (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError)  # how a connection is seen to have been cut
SMALL_WINDOW = 64 * 1024  # bytes that the kernel takes for a client that does not read


@dataclass
class Ways:
    """A server that listens in three ways: plain, at a port with TLS, and at a file."""

    server: Server
    tls_port: int
    pem: Path
    unix: Path

    async def connect(self, way: str) -> Wire:
        """A connection that asks the kernel to hold little of what it does not read."""
        path, context = None, None
        if way == "unix":
            endpoint = socket.socket(socket.AF_UNIX)
            path = str(self.unix)
        else:
            endpoint = socket.socket()
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
        endpoint.setblocking(False)
        where = path or ("127.0.0.1", self.tls_port if way == "tls" else self.server.port)
        await asyncio.get_running_loop().sock_connect(endpoint, where)
        if way == "unix":
            return Wire(*await asyncio.open_unix_connection(sock=endpoint, limit=1 << 22))
        if way == "tls":
            context = ssl.create_default_context(cafile=self.pem)
        name = "127.0.0.1" if context else None
        return Wire(*await asyncio.open_connection(sock=endpoint, ssl=context, server_hostname=name, limit=1 << 22))

    @asynccontextmanager
    async def open(self, way: str, path: str, behind: bytes = b"") -> AsyncIterator[Wire]:
        """A WebSocket; `behind` is sent in one piece with the handshake."""
        connection = await self.connect(way)
        try:
            await connection.send(handshake(self.server.port, path) + behind)
            answer = await connection.response()
            assert answer.status == 101, answer
            yield connection
        finally:
            connection.drop()


@pytest.fixture(scope="module")
def start_ways(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ways]:
    def start(**settings: Any) -> Ways:
        folder = tmp_path_factory.mktemp("ways")
        server = Server(folder, template, DJANGO_SETTINGS_MODULE=MOUNTED, **settings)
        ways = Ways(server, free_port(), certificate(folder), folder / "socket")
        tls = f"ssl:port={ways.tls_port}:interface=127.0.0.1:privateKey={ways.pem}:certKey={ways.pem}"
        server.options = ("-e", tls, "-u", str(ways.unix))
        servers.append(server)
        server.start()
        return ways

    return start


@pytest.fixture(scope="module")
def ways(start_ways: Callable[..., Ways]) -> Iterator[Ways]:
    running = start_ways()
    yield running
    running.server.stop()


anyhow = pytest.mark.parametrize("way", ["tls", "unix"])


@anyhow
async def test_messages_of_all_sizes_come_back_whole(ways: Ways, way: str) -> None:
    sizes = [0, 1, 125, 126, 65_535, 65_536, 5 * MIB]
    async with ways.open(way, "/ws/polite/") as connection:
        for size in sizes:
            await connection.send(frames.binary(b"x" * size))
            assert await connection.receive() == Message(Opcode.BINARY, b"x" * size)
        await connection.send(frames.ping(b"?"))
        assert await connection.receive() == Message(Opcode.PONG, b"?")
        await connection.bye()


@anyhow
async def test_what_came_with_the_handshake_is_not_lost(ways: Ways, way: str) -> None:
    async with ways.open(way, "/ws/polite/", frames.text("early")) as connection:
        assert await connection.receive() == Message(Opcode.TEXT, b"early")
        await connection.bye()


async def test_one_topic_reaches_readers_of_every_kind(ways: Ways) -> None:
    path, count = "/ws/broadcast/", 2_000
    async with (
        ways.open("tcp", path) as plain,
        ways.open("tls", path) as tls,
        ways.open("unix", path) as unix,
    ):
        sending = asyncio.create_task(tls.send(b"".join(frames.text(f"{n}".rjust(500)) for n in range(count))))
        heard = await asyncio.gather(*(reader.receive_many(count) for reader in (plain, tls, unix)))
        await sending
    expected = [Message(Opcode.TEXT, f"{number}".rjust(500).encode()) for number in range(count)]
    assert heard == [expected] * 3


@anyhow
async def test_close_codes_are_told_in_both_directions(ways: Ways, way: str) -> None:
    play = Play(ways.server, ACCEPT, close(4001, "why"))
    async with ways.open(way, play.target.path) as connection:
        [closing] = await connection.until_close()
        assert (closing.code, closing.reason) == (4001, "why")
        await connection.send(frames.close(4001))
        await connection.ended()
    play = Play(ways.server, ACCEPT)
    async with ways.open(way, play.target.path) as connection:
        await connection.send(frames.close(4002, "mine"))
        [closing] = await connection.until_close()
        assert closing.code == 4002
    assert await play.disconnect_code() == 4002


@anyhow
async def test_a_violation_is_told_before_the_end(ways: Ways, way: str) -> None:
    async with ways.open(way, "/ws/polite/") as connection:
        await connection.send(frames.frame(Opcode.TEXT, b"no mask", mask=None))
        [closing] = await connection.until_close()
        assert closing.code == 1002
        await connection.ended()


@anyhow
async def test_a_refusal_arrives_whole(ways: Ways, way: str) -> None:
    connection = await ways.connect(way)
    await connection.send(handshake(ways.server.port, "/ws/nowhere/"))
    answer = await connection.response()
    assert (answer.status, answer.body) == (404, b"No WebSocket is here.\n")
    await connection.ended()
    connection.drop()


@anyhow
async def test_a_body_that_is_too_long_is_refused_while_it_is_still_sent(ways: Ways, way: str) -> None:
    connection = await ways.connect(way)
    await connection.send(b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n")
    sending = asyncio.create_task(connection.send(b"x" * 100 * MIB, MIB))
    assert (await connection.response()).status == 413
    sending.cancel()
    await asyncio.wait([sending])
    connection.drop()


@anyhow
async def test_z17_a_reader_that_stops_is_cut_and_costs_little(ways: Ways, way: str) -> None:
    """40 MiB pass while it does not read; the others read all of it."""
    path, messages, size = "/ws/broadcast/", 640, 64 * 1024
    content = frames.text("x" * size)
    async with ways.open("tcp", path) as sender, ways.open(way, path) as other, ways.open(way, path) as stuck:
        stuck.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(20):  # the buffers that the others need are there
            await sender.send(content)
            await sender.receive()
            await other.receive()
        before = resident(ways.server)
        for _ in range(messages):
            await sender.send(content)
            await sender.receive()
            await other.receive()
        grown = resident(ways.server) - before
        assert grown <= 5 * MIB, f"the server grew by {grown / MIB:.1f} MiB"
        stuck.writer.transport.resume_reading()  # type: ignore[attr-defined]
        got = 0
        with suppress(*ENDS):
            while (await stuck.receive()).opcode != Opcode.CLOSE:
                got += 1
        assert got < messages


@anyhow
async def test_who_is_connected_over_it_is_in_the_registry_and_leaves_it(ways: Ways, way: str) -> None:
    count = """
    from realtime_project.models import Connection
    print(Connection.objects.filter(endpoint="/ws/eager/").count())
    """

    async def until(expected: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while await asyncio.to_thread(ways.server.python, count) != expected:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)

    async with ways.open(way, "/ws/eager/"):
        await until(1)
    await until(0)


async def test_h62_everybody_is_told_before_the_server_leaves(start_ways: Callable[..., Ways]) -> None:
    ways = start_ways()
    async with ways.open("tls", "/ws/parting/") as tls, ways.open("unix", "/ws/parting/") as unix:
        ways.server.signal(signal.SIGTERM)
        for connection in (tls, unix):
            [closing] = await connection.until_close()
            assert (closing.code, closing.reason) == (1012, "service restart")
            await connection.send(frames.close(1012))
            await connection.ended()
        assert await asyncio.to_thread(ways.server.wait) == 0
    assert ways.server.log().count("parted with 1012") == 2


async def test_half_a_handshake_is_cut_whatever_is_beneath_it(start_ways: Callable[..., Ways]) -> None:
    """One says nothing, not even for TLS; the others begin a request and stop."""
    ways = start_ways(WEBSOCKET_HANDSHAKE_TIMEOUT=HASTE)
    silent = await Wire.open(ways.tls_port)
    begun = [await ways.connect(way) for way in ("tls", "unix")]
    for connection in begun:
        await connection.send(b"GET /ws/polite/ HTTP/1.1\r\nX-Long: ")
    for connection in (silent, *begun):
        async with asyncio.timeout(PATIENCE):
            with suppress(*ENDS):
                assert await connection.reader.read() == b""
        connection.drop()
    assert await Target(ways.server.port, "/ws/polite/").shake()
    ways.server.stop()
