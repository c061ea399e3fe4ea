"""Clients that go on through any fault: they write down what was acknowledged and every frame that they saw."""

import asyncio
import itertools
import json
import random
from collections.abc import Iterator, Sequence

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.helpers import Server, Socket, connect

AWAY = (OSError, ConnectionClosed, InvalidHandshake, EOFError, TimeoutError)
PATIENCE = 4.0  # seconds without an answer before a socket counts as dead
PAUSE = 0.05  # seconds before the next attempt


class Client:
    """Connects to one of the servers, whichever; when it is thrown out, to another."""

    def __init__(self, servers: Sequence[Server], cookie: str, seed: int = 0) -> None:
        self.servers, self.cookie = servers, cookie
        self.chance = random.Random(seed)
        self.stopping = False
        self.server: Server | None = None  # where it is connected

    async def run(self) -> None:
        while not self.stopping:
            server = self.chance.choice(self.servers)
            options = {"close_timeout": 0.1, "open_timeout": PATIENCE, "max_queue": None}
            try:
                async with connect(server.ws("ws/chat/"), self.cookie, **options) as socket:
                    self.server = server
                    await self.talk(socket)
            except AWAY:
                await asyncio.sleep(PAUSE)
            finally:
                self.server = None

    async def talk(self, socket: Socket) -> None:
        raise NotImplementedError


class Poster(Client):
    """Posts one message after the other, and each until it is acknowledged, under one id."""

    def __init__(self, servers: Sequence[Server], cookie: str, name: str, pace: float = 0, room: str = "lobby") -> None:
        super().__init__(servers, cookie, seed=hash(name))
        self.name, self.room, self.pace = name, room, pace  # pace: seconds between two posts
        self.acknowledged: dict[str, int] = {}  # id → offset
        self.ids: Iterator[str] = (f"{name}-{number}" for number in itertools.count())
        self.current = next(self.ids)

    async def talk(self, socket: Socket) -> None:
        while not self.stopping:
            await socket.send_json({"type": "post", "room": self.room, "id": self.current, "text": self.current})
            reply = json.loads(await asyncio.wait_for(socket.connection.recv(), PATIENCE))
            assert reply["id"] == self.current, reply
            if reply["type"] == "ack":
                self.acknowledged[self.current] = reply["offset"]
                self.current = next(self.ids)
                await asyncio.sleep(self.pace)
            else:
                assert reply["code"] == "unavailable", reply
                await asyncio.sleep(PAUSE)


class Reader(Client):
    """Reads a room, and comes back with `since` whenever it is thrown out, or feels like it. It never has to reload."""

    def __init__(
        self, servers: Sequence[Server], cookie: str, restless: float = 0, seed: int = 0, room: str = "lobby"
    ) -> None:
        super().__init__(servers, cookie, seed)
        self.room, self.restless = room, restless  # restless: seconds between two changes of mind, about
        self.frames: list[tuple[int, str]] = []
        self.last = 0
        self.epoch: str | None = None

    async def talk(self, socket: Socket) -> None:
        subscribe = {"type": "subscribe", "room": self.room, "since": self.last, "epoch": self.epoch, "id": "s"}
        await socket.send_json(subscribe)
        leaving = self.chance.uniform(0.2, 2) * self.restless if self.restless else None
        try:
            async with asyncio.timeout(leaving):
                while True:
                    self.take(await self.frame(socket))
        except TimeoutError:
            if leaving is None:
                raise

    async def frame(self, socket: Socket) -> str | bytes:
        """The next frame; a quiet socket is asked whether it lives, for a frozen server closes nothing."""
        while True:
            try:
                return await asyncio.wait_for(socket.connection.recv(), PATIENCE)
            except TimeoutError:
                pong = await socket.connection.ping()
                await asyncio.wait_for(pong, PATIENCE)

    def take(self, text: str | bytes) -> None:
        frame = json.loads(text)
        if frame["type"] == "subscribed":
            assert frame["recovered"], frame
            self.epoch = frame["epoch"]
        elif frame["type"] == "error":
            assert frame["code"] == "unavailable", frame
            raise ConnectionResetError(frame["detail"])
        elif frame["type"] != "presence":  # which is fleeting
            self.frames.append((frame["offset"], str(text)))
            self.last = frame["offset"]
