"""Nothing lost, nothing doubled, nothing out of order: killed servers, joins under fire, bursts."""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.helpers import ChatClient, Server, connect, guest

KILLS = 6
JOINS = 500

LOG = """
from realtime_project.models import TopicEvent
from chat.models import Room
room = Room.objects.get(slug={room!r})
rows = TopicEvent.objects.filter(topic__name=room.topic_name).order_by("offset").values_list("offset", "content")
print(json.dumps([[offset, bytes(content).decode()] for offset, content in rows]))
"""


class Poster:
    """Posts one message after the other, and each until it is acknowledged, under one id."""

    def __init__(self, server: Server, cookie: str, name: str) -> None:
        self.server, self.cookie, self.name = server, cookie, name
        self.acknowledged: dict[str, int] = {}  # id → offset
        self.stopping = False

    async def run(self) -> None:
        ids: Iterator[str] = (f"{self.name}-{number}" for number in itertools.count())
        current = next(ids)
        while not self.stopping:
            try:
                async with connect(self.server.ws("ws/chat/"), self.cookie, close_timeout=0.1) as socket:
                    while not self.stopping:
                        await socket.send_json({"type": "post", "room": "lobby", "id": current, "text": current})
                        reply = await socket.recv_json()
                        assert reply["type"] == "ack", reply
                        assert reply["id"] == current
                        self.acknowledged[current] = reply["offset"]
                        current = next(ids)
            except (OSError, ConnectionClosed, InvalidHandshake, EOFError):
                await asyncio.sleep(0.05)


class Reader:
    """Reads a room, and comes back with `since` whenever it is thrown out. It never has to reload."""

    def __init__(self, server: Server, cookie: str) -> None:
        self.server, self.cookie = server, cookie
        self.frames: list[tuple[int, str]] = []
        self.last = 0
        self.epoch: str | None = None
        self.stopping = False

    async def run(self) -> None:
        while not self.stopping:
            try:
                async with connect(self.server.ws("ws/chat/"), self.cookie, close_timeout=0.1) as socket:
                    await socket.send_json(
                        {"type": "subscribe", "room": "lobby", "since": self.last, "epoch": self.epoch}
                    )
                    async for text in socket.connection:
                        self.take(text)
            except (OSError, ConnectionClosed, InvalidHandshake, EOFError):
                await asyncio.sleep(0.05)

    def take(self, text: str | bytes) -> None:
        frame = json.loads(text)
        if frame["type"] == "subscribed":
            assert frame["recovered"], frame
            self.epoch = frame["epoch"]
        else:
            self.frames.append((frame["offset"], str(text)))
            self.last = frame["offset"]


async def until(fits: Callable[[], Any], patience: float = 30) -> None:
    async with asyncio.timeout(patience):
        while not fits():  # what is waited for is in other processes
            await asyncio.sleep(0.02)


async def test_six_kills_while_four_post_and_four_read(start_server: Callable[..., Server]) -> None:
    server = start_server(WEBSOCKET_RATE=0)
    posters = [Poster(server, guest(server), f"poster{number}") for number in range(4)]
    readers = [Reader(server, guest(server)) for _ in range(4)]
    running = [asyncio.create_task(poster.run()) for poster in posters]
    running += [asyncio.create_task(reader.run()) for reader in readers]
    for _ in range(KILLS):
        posted = sum(len(poster.acknowledged) for poster in posters)
        await until(lambda: sum(len(poster.acknowledged) for poster in posters) >= posted + 40)  # noqa: B023
        server.kill()
        await asyncio.to_thread(server.start)
    posted = sum(len(poster.acknowledged) for poster in posters)
    await until(lambda: sum(len(poster.acknowledged) for poster in posters) >= posted + 40)
    for poster in posters:
        poster.stopping = True
    await asyncio.wait_for(asyncio.gather(*running[:4]), 20)
    log = [tuple(row) for row in server.python(LOG.format(room="lobby"))]
    await until(lambda: all(reader.last == log[-1][0] for reader in readers))
    for task in running[4:]:
        task.cancel()
    await asyncio.wait(running)

    assert [offset for offset, _ in log] == list(range(1, len(log) + 1))
    for reader in readers:
        assert reader.frames == log, "a view differs from the log"
    stored = {
        (event["message"]["client_id"], offset)
        for offset, text in log
        if (event := json.loads(text))["type"] == "message.created"
    }
    assert len({id for id, _ in stored}) == len(stored), "stored twice"
    for poster in posters:
        assert set(poster.acknowledged.items()) <= stored, "acknowledged and lost"
        numbers = [int(id.rsplit("-", 1)[1]) for id, _ in sorted(stored, key=lambda each: each[1]) if poster.name in id]
        assert numbers == sorted(numbers), "out of order"


async def test_five_hundred_joins_while_two_hundred_posts_a_second_arrive(start_server: Callable[..., Server]) -> None:
    server = start_server(WEBSOCKET_RATE=0)
    writer, reader = guest(server), guest(server)
    stopping = False

    async with ChatClient(server, writer) as client:
        head = (await client.subscribe("lobby"))["head"]

        async def post() -> None:
            for number in itertools.count():
                if stopping:
                    return
                await client.send(type="post", room="lobby", id=f"p{number}", text=str(number))
                await asyncio.sleep(1 / 200)

        posting = asyncio.create_task(post())
        await client.heard("lobby", head + 20)

        async def join(number: int) -> None:
            async with ChatClient(server, reader) as joiner:
                now = client.since("lobby")
                since = max(head, now - number % 100)
                await joiner.subscribe("lobby", since=since)
                await joiner.heard("lobby", now + 5)
                joiner.assert_whole("lobby")

        for first in range(0, JOINS, 10):
            await asyncio.gather(*(join(number) for number in range(first, first + 10)))
        stopping = True
        await posting
        client.assert_whole("lobby")


async def test_a_thousand_posts_in_one_train_reach_a_hundred_readers_in_order(
    start_server: Callable[..., Server],
) -> None:
    server = start_server(WEBSOCKET_RATE=0)
    cookie = guest(server)
    async with AsyncExitStack() as clients:
        writer = await clients.enter_async_context(ChatClient(server, cookie))
        readers = [await clients.enter_async_context(ChatClient(server, cookie)) for _ in range(100)]
        await asyncio.gather(*(reader.subscribe("lobby") for reader in readers))
        head = readers[0].since("lobby")
        for number in range(1_000):
            await writer.send(type="post", room="lobby", id=f"p{number}", text=str(number))
        last = await writer.frame(lambda frame: frame.get("id") == "p999", timeout=30)
        assert last["offset"] == head + 1_000
        for reader in readers:
            await reader.heard("lobby", head + 1_000, timeout=30)
            reader.assert_whole("lobby")
            assert reader.texts("lobby") == [str(number) for number in range(1_000)]
