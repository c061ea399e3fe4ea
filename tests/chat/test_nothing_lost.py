"""Nothing lost, nothing doubled, nothing out of order: killed servers, joins under fire, bursts."""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from tests.faults.checker import check, read_log
from tests.faults.clients import Poster, Reader
from tests.helpers import ChatClient, Server, create_room, guest

KILLS = 6
JOINS = 500


async def until(fits: Callable[[], Any], patience: float = 30) -> None:
    async with asyncio.timeout(patience):
        while not fits():  # what is waited for is in other processes
            await asyncio.sleep(0.02)


async def test_six_kills_while_four_post_and_four_read(start_server: Callable[..., Server]) -> None:
    server = start_server(WEBSOCKET_RATE=0)
    posters = [Poster([server], guest(server), f"poster{number}") for number in range(4)]
    readers = [Reader([server], guest(server)) for _ in range(4)]
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
    log = read_log(server)
    await until(lambda: all(reader.last == log[-1][0] for reader in readers))
    for task in running[4:]:
        task.cancel()
    await asyncio.wait(running)
    check(log, posters, readers)


async def test_five_hundred_joins_while_two_hundred_posts_a_second_arrive(unlimited: Server) -> None:
    server = unlimited
    writer, reader = guest(server), guest(server)
    room = create_room(server, writer)
    stopping = False

    async with ChatClient(server, writer) as client:
        head = (await client.subscribe(room))["head"]

        async def post() -> None:
            for number in itertools.count():
                if stopping:
                    return
                await client.send(type="post", room=room, id=f"p{number}", text=str(number))
                await asyncio.sleep(1 / 200)

        posting = asyncio.create_task(post())
        await client.heard(room, head + 20)

        async def join(number: int) -> None:
            async with ChatClient(server, reader) as joiner:
                now = client.since(room)
                since = max(head, now - number % 100)
                await joiner.subscribe(room, since=since)
                await joiner.heard(room, now + 5)
                joiner.assert_whole(room)

        for first in range(0, JOINS, 10):
            await asyncio.gather(*(join(number) for number in range(first, first + 10)))
        stopping = True
        await posting
        client.assert_whole(room)


async def test_a_thousand_posts_in_one_train_reach_a_hundred_readers_in_order(unlimited: Server) -> None:
    server = unlimited
    cookie = guest(server)
    room = create_room(server, cookie)
    async with AsyncExitStack() as clients:
        writer = await clients.enter_async_context(ChatClient(server, cookie))
        readers = [await clients.enter_async_context(ChatClient(server, cookie)) for _ in range(100)]
        await asyncio.gather(*(reader.subscribe(room) for reader in readers))
        head = readers[0].since(room)
        for number in range(1_000):
            await writer.send(type="post", room=room, id=f"p{number}", text=str(number))
        last = await writer.frame(lambda frame: frame.get("id") == "p999", timeout=30)
        assert last["offset"] == head + 1_000
        for reader in readers:
            await reader.heard(room, head + 1_000, timeout=30)
            reader.assert_whole(room)
            assert reader.texts(room) == [str(number) for number in range(1_000)]
