"""Two servers, PostgreSQL and Redis, and whatever may happen to them: nothing is lost, doubled or out of order."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cluster import Cluster
from benchmarks.services import Postgres, Redis
from tests.faults.checker import check, read_log
from tests.faults.clients import Poster, Reader
from tests.helpers import Server, guest

DEAF = 10.0  # seconds after the last fault within which every socket has to hear again
RESUMED = 3.0  # seconds after a component's return within which both servers deliver what was posted since

Fault = Callable[["Schedule"], Coroutine[Any, Any, None]]


class Schedule:
    """Faults in a random but repeatable order, with pauses between them."""

    def __init__(self, cluster: Cluster, redis: Redis, seed: int, frozen: float) -> None:
        self.cluster, self.redis, self.frozen = cluster, redis, frozen
        self.chance = random.Random(seed)

    async def play(self, faults: list[Fault], resumed: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        """resumed: awaited after each, with its name, when what was away has returned."""
        self.chance.shuffle(faults)
        for fault in faults:
            await asyncio.sleep(self.chance.uniform(0.3, 1.5))
            await fault(self)
            await resumed(fault.__name__)

    @property
    def server(self) -> Server:
        return self.chance.choice(self.cluster.servers)

    async def kill_redis(self) -> None:
        self.redis.kill()
        await asyncio.sleep(self.chance.uniform(0, 3))
        await asyncio.to_thread(self.redis.start)  # empty

    async def kill_server(self) -> None:
        server = self.server
        server.kill()
        await asyncio.to_thread(server.start)

    async def restart_postgres(self) -> None:
        await asyncio.to_thread(self.cluster.postgres.restart)

    async def freeze_redis(self) -> None:
        self.redis.freeze()
        await asyncio.sleep(self.frozen)
        self.redis.thaw()

    async def freeze_server(self) -> None:
        server = self.server
        server.freeze()
        await asyncio.sleep(self.frozen)
        server.thaw()


async def survive(
    folder: Path,
    postgres: Postgres,
    servers: list[Server],
    faults: list[Fault],
    *,
    seed: int,
    readers: int,
    messages: int,
    frozen: float,
    pace: float = 0,
    patience: float = RESUMED,
) -> None:
    redis = Redis()
    redis.start()
    cluster = Cluster(folder, postgres, [redis], f"faults{seed}", 2, WEBSOCKET_RATE=0)
    servers.extend(cluster.servers)
    cluster.start()
    try:
        cookies = [guest(cluster.servers[0]) for _ in range(4)]
        posters = [Poster(cluster.servers, cookie, f"poster{number}", pace) for number, cookie in enumerate(cookies)]
        views = [Reader(cluster.servers, cookies[0], restless=3, seed=number) for number in range(readers)]
        running = [asyncio.create_task(client.run()) for client in (*posters, *views)]

        def failed() -> bool:
            return any(task.done() and task.exception() for task in running)

        async def until(fits: Callable[[], bool], patience: float) -> None:
            deadline = time.monotonic() + patience
            while not fits() and not failed() and time.monotonic() < deadline:
                await asyncio.sleep(0.05)

        async def resumed(fault: str) -> None:
            """What is posted from now on is acknowledged, and arrives at readers of both servers."""
            began = time.monotonic()
            head = max((offset for poster in posters for offset in poster.acknowledged.values()), default=0)

            def heard() -> set[Server]:
                return {view.server for view in views if view.server and view.last > head}

            await until(lambda: len(heard()) == len(cluster.servers), patience=DEAF)
            pauses.append((time.monotonic() - began, fault))

        pauses: list[tuple[float, str]] = []
        playing = asyncio.create_task(Schedule(cluster, redis, seed, frozen).play(faults, resumed))
        await until(playing.done, patience=len(faults) * 20)
        await playing
        healed = time.monotonic()
        await until(lambda: sum(len(poster.acknowledged) for poster in posters) >= messages, patience=240)
        for poster in posters:
            poster.stopping = True
        await asyncio.wait(running[: len(posters)], timeout=20)
        log = await asyncio.to_thread(read_log, cluster.servers[0])
        await until(lambda: all(view.last >= log[-1][0] for view in views), patience=DEAF)
        for task in running:
            if task.done():
                task.result()  # a client that found something wrong
        deaf = [view for view in views if view.last < log[-1][0]]
        assert not deaf, f"{len(deaf)} sockets deaf {time.monotonic() - healed:.0f} s after the last fault"
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        assert sum(len(poster.acknowledged) for poster in posters) >= messages
        check(log, posters, views)
        print("delivery resumed after", ", ".join(f"{fault} {pause:.1f} s" for pause, fault in pauses))
        assert max(pauses)[0] <= patience, pauses
    finally:
        cluster.stop()
        redis.thaw()
        redis.kill()


@pytest.mark.logs_errors
async def test_a_little_of_everything(postgres: Postgres, servers: list[Server], tmp_path: Path) -> None:
    faults: list[Fault] = [
        Schedule.kill_redis,
        Schedule.kill_server,
        Schedule.kill_redis,
        Schedule.kill_server,
        Schedule.restart_postgres,
        Schedule.freeze_redis,
        Schedule.freeze_server,
    ]
    # paced, as below, so that nobody is a thousand events behind after a server's frozen seconds and may reload
    await survive(
        tmp_path, postgres, servers, faults, seed=7, readers=8, messages=300, frozen=3, pace=0.02, patience=DEAF
    )


@pytest.mark.soak
@pytest.mark.logs_errors
@pytest.mark.parametrize("seed", range(1, 4))
async def test_a_lot_of_everything(postgres: Postgres, servers: list[Server], tmp_path: Path, seed: int) -> None:
    faults: list[Fault] = [Schedule.freeze_redis, Schedule.freeze_server]
    faults += [Schedule.kill_redis] * 10 + [Schedule.kill_server] * 10 + [Schedule.restart_postgres] * 3
    await survive(tmp_path, postgres, servers, faults, seed=seed, readers=20, messages=5_000, frozen=8, pace=0.05)
