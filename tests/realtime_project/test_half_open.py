"""A connection to Redis that has gone silent: nothing closes, nothing answers. Over a real proxy that swallows."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from benchmarks.cluster import Cluster
from benchmarks.services import Postgres, Redis
from tests.helpers import ChatClient, Server, connect, guest
from tests.layer import subscribed

AGAIN = 15.0  # seconds, generously, until a server has noticed and has another seat


class Proxy:
    """Between a server and Redis. `swallow()`: what is open now stays open, and nothing passes any more either way."""

    def __init__(self, port: int) -> None:
        self.target, self.port = port, 0
        self.opened = 0
        self._life = object()
        self._passing: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def swallow(self) -> None:
        self._life = object()

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self._passing.add(asyncio.create_task(self._pass(reader, writer)))

    async def end(self) -> None:
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        life = self._life
        there_in, there_out = await asyncio.open_connection("127.0.0.1", self.target)

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await source.read(65_536):
                    if life is self._life:
                        target.write(data)
                        await target.drain()
            if life is self._life:
                target.close()

        try:
            await asyncio.gather(pass_on(reader, there_out), pass_on(there_in, writer))
        finally:
            writer.transport.abort()
            there_out.transport.abort()


@asynccontextmanager
async def proxied(redis: Redis) -> AsyncIterator[Proxy]:
    proxy = Proxy(redis.port)
    listening = await asyncio.start_server(proxy.take, "127.0.0.1", 0)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listening.close()
        await proxy.end()


@pytest.mark.logs_errors
async def test_a_server_whose_seat_has_gone_silent_takes_another(
    postgres: Postgres, redis: Redis, servers: list[Server], tmp_path: Path
) -> None:
    async with proxied(redis) as proxy:
        cluster = Cluster(tmp_path, postgres, [redis], "half_open", 2, WEBSOCKET_RATE=0)
        one, two = cluster.servers
        two.environment["REDIS_URL"] = proxy.url
        servers.extend(cluster.servers)
        await asyncio.to_thread(cluster.start)
        try:
            cookies = [await asyncio.to_thread(guest, server) for server in (one, two)]
            async with ChatClient(one, cookies[0]) as a, ChatClient(two, cookies[1]) as b:
                await a.subscribe("lobby")
                await b.subscribe("lobby")
                async with connect(one.ws("ws/broadcast/")) as far, connect(two.ws("ws/broadcast/")) as near:
                    await subscribed([redis], "demo.broadcast")
                    await far.send("before")
                    assert await near.recv() == await far.recv() == "before"
                    opened = proxy.opened
                    proxy.swallow()
                    acks = [await a.post("lobby", "there"), await b.post("lobby", "here")]
                    for client in (a, b):
                        for ack in acks:
                            await client.heard("lobby", ack["offset"], timeout=8)
                    began = time.monotonic()
                    while True:  # a plain topic is heard again
                        await far.send("again")
                        with suppress(AssertionError):
                            if "again" in await near.recv(1):
                                break
                        assert time.monotonic() - began < AGAIN
                    assert proxy.opened > opened, "over connections of its own"
                    for text in ("last", "of all"):
                        await near.send(text)
                    heard = ""
                    while heard != "of all":
                        heard = str(await far.recv())
                ack = await a.post("lobby", "and by the doorbell")
                await b.heard("lobby", ack["offset"])
                for client in (a, b):
                    client.assert_whole("lobby")
        finally:
            await asyncio.to_thread(cluster.stop)
